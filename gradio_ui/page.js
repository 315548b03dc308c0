// Light or dark: the visitor's choice outlives the visit. Gradio reads it from the address before it draws.
(() => {
  const kept = localStorage.getItem("vitrine-theme");
  const address = new URL(location.href);
  if (kept && !address.searchParams.has("__theme")) {
    address.searchParams.set("__theme", kept);
    history.replaceState(null, "", address);
  }
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#v-theme")) return;
    const dark = document.body.classList.toggle("dark");
    localStorage.setItem("vitrine-theme", dark ? "dark" : "light");
  });
})();

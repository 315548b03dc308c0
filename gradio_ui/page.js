// Light or dark: the visitor's choice outlives the visit, whatever Gradio sets when it draws.
(() => {
  const asked = new URL(location.href).searchParams.get("__theme"); // from Gradio's own settings page
  if (asked === "system") localStorage.removeItem("vitrine-theme");
  else if (asked) localStorage.setItem("vitrine-theme", asked);
  const apply = () => {
    const kept = localStorage.getItem("vitrine-theme");
    const dark = document.body.classList.contains("dark");
    if (kept && dark !== (kept === "dark")) document.body.classList.toggle("dark");
  };
  const start = () => {
    apply();
    new MutationObserver(apply).observe(document.body, { attributes: true, attributeFilter: ["class"] });
    document.addEventListener("click", (event) => {
      if (!event.target.closest("#v-theme")) return;
      localStorage.setItem("vitrine-theme", document.body.classList.contains("dark") ? "light" : "dark");
      apply();
    });
  };
  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);
})();

// A large button starts work, and its second click of a double click would start the same again: Gradio hears it before it knows of the first.
document.addEventListener("click", (event) => {
  if (event.detail > 1 && event.target.closest("button.lg")) event.stopImmediatePropagation();
}, true);

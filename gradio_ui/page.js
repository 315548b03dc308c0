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

// The masks beside a canvas follow when something was done to it: a stroke may end outside, and a tool is also chosen by a key.
(() => {
  let at = null;
  const done = (canvas) => {
    clearTimeout(canvas.vitrineDone);
    canvas.vitrineDone = setTimeout(() => document.getElementById(`${canvas.id}-drawn`)?.click(), 200);
  };
  document.addEventListener("pointerdown", (event) => { at = event.target.closest?.(".v-brush") ?? null; }, true);
  for (const ended of ["pointerup", "pointercancel"]) document.addEventListener(ended, () => { if (at) done(at); at = null; }, true);
  document.addEventListener("click", (event) => { const canvas = event.target.closest?.(".v-brush"); if (canvas) done(canvas); }, true);
})();

// Sets the theme before the first paint; a classic script because modules run too late for that.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const chosen = root.dataset.theme;
    root.dataset.bsTheme = chosen === "auto" ? (dark.matches ? "dark" : "light") : chosen;
    root.dispatchEvent(new Event("themechange"));
  };
  root.classList.add("js");
  dark.addEventListener("change", apply);
  root.applyTheme = (name) => {
    root.dataset.theme = name;
    apply();
  };
  apply();
})();

// Light or dark. Runs before the page is painted, so that nothing flashes; the choice stays in this browser.
(() => {
  const key = "theme";
  const system = matchMedia("(prefers-color-scheme: dark)");
  const kept = () => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  };

  function show() {
    const chosen = kept();
    const root = document.documentElement;
    if (chosen) root.dataset.theme = chosen;
    else delete root.dataset.theme;
    root.dataset.shownTheme = chosen || (system.matches ? "dark" : "light");
  }

  function change() {
    const next = document.documentElement.dataset.shownTheme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem(key, next);
    } catch {
      document.documentElement.dataset.theme = next;
    }
    show();
    name();
  }

  function name() {
    const button = document.getElementById("theme");
    const next = document.documentElement.dataset.shownTheme === "dark" ? "light" : "dark";
    button?.setAttribute("aria-label", `Show the pages in ${next} colours`);
  }

  show();
  document.documentElement.classList.add("with-script");
  system.addEventListener("change", () => {
    show();
    name();
  });
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme")?.addEventListener("click", change);
    name();
  });
})();

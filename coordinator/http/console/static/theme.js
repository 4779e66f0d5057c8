// Theme: light, dark, or as the system has it (which is the beginning). Kept in this browser.
const NEXT = { system: "light", light: "dark", dark: "system" };
const SIGNS = { system: "◐", light: "☀", dark: "☾" };
const listeners = new Set();
const system = matchMedia("(prefers-color-scheme: dark)");
const button = document.getElementById("theme");

function stored() {
  try {
    return localStorage.getItem("theme") ?? "system";
  } catch {
    return "system"; // a browser that keeps nothing
  }
}

function apply(theme) {
  if (theme === "system") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.setAttribute("data-theme", theme);
  button.textContent = SIGNS[theme] ?? SIGNS.system;
  button.setAttribute("aria-label", `Theme: ${theme}. Switch to ${NEXT[theme] ?? "light"}`);
  button.title = `Theme: ${theme}`;
  for (const listener of listeners) listener();
}

let theme = stored();
apply(theme);
system.addEventListener("change", () => apply(theme));
button.addEventListener("click", () => {
  theme = NEXT[theme] ?? "light";
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // only this page then
  }
  apply(theme);
});

/** Whether colours are those of the dark theme now. */
export function isDark() {
  return theme === "dark" || (theme === "system" && system.matches);
}

/** Tells whoever paints by itself that colours have changed. */
export function onTheme(listener) {
  listeners.add(listener);
}

/** The value of a colour of the style sheet. */
export function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

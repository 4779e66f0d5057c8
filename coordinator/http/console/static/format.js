// Format: numbers, sizes and times as people read them, and elements made without a line of HTML text: what comes from the cluster is
// only ever text.
const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** 12,345; from 100,000 on 123.4K. */
export function count(value) {
  if (value === null || value === undefined) return "–";
  return value >= 100_000 ? SHORT.format(value) : NUMBER.format(value);
}

export function plural(value, word) {
  return `${count(value)} ${word}${value === 1 ? "" : "s"}`;
}

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let rest = value;
  for (; rest >= 1024 && unit < units.length - 1; unit++) rest /= 1024;
  return `${unit === 0 || rest >= 100 ? Math.round(rest) : rest.toFixed(1)} ${units[unit]}`;
}

/** Operations per second. */
export function rate(value) {
  if (value === null || value === undefined) return "–";
  return value > 0 && value < 9.95 ? value.toFixed(1) : count(value);
}

/** A latency. */
export function latency(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(1)} s`;
  return `${ms >= 10 ? ms.toFixed(0) : ms.toFixed(ms >= 1 ? 1 : 2)} ms`;
}

/** A time that has passed or is left. */
export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  const seconds = ms / 1_000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

export function share(part) {
  return `${(part * 100).toFixed(part > 0 && part < 0.0995 ? 1 : 0)} %`;
}

export function clock(at) {
  return new Date(at).toLocaleTimeString("en-GB");
}

/**
 * An element.
 * @param name Tag and classes: `span.badge.up`.
 * @param props Properties; those beginning with `aria-`, `data-`, `role`, `for`, `scope`, `colspan` as attributes.
 */
export function el(name, props = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length > 0) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (/^(?:aria-|data-|role$|for$|scope$|colspan$|list$)/.test(key)) element.setAttribute(key, String(value));
    else element[key] = value;
  }
  element.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

export function byId(id) {
  return document.getElementById(id);
}

/** Sets a text where it differs: an unchanged one is not announced again. */
export function setText(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

// Colours of nodes: far apart for few nodes, told apart still for twenty; the same for a node as long as the members are the same.
import { isDark } from "./theme.js";

const GOLDEN_ANGLE = 137.508;
const FIRST_HUE = 255;

/** @param ids Of all members. @returns a colour for each */
export function nodeColors(ids) {
  const sorted = [...ids].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  return new Map(sorted.map((id, index) => [id, colorAt(index)]));
}

function colorAt(index) {
  const hue = (FIRST_HUE + index * GOLDEN_ANGLE) % 360;
  const step = Math.floor(index / 3) % 3;
  const light = (isDark() ? 0.74 : 0.6) + [0, -0.1, 0.08][step];
  return `oklch(${light} ${index % 2 === 0 ? 0.15 : 0.13} ${hue})`;
}

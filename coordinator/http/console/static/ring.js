// Ring: drawn on a canvas. Outside, a sector for each node as large as its share, with its name; inside, a band for each copy, with the same
// slot at the same angle in all of them. Slots are put in the order of their owners, not of their numbers: neighbouring numbers have
// different owners, and 4096 stripes would show nothing. A node that is pointed at stands out, which keeps twenty of them readable. Slots that change hands light up for a moment. The bands are painted once into a picture of their own and only
// again when they change. What the canvas shows is said in words in its label, and in figures in the table of nodes.
import { nodeColors } from "./colors.js";
import { byId, el, share } from "./format.js";
import { color, isDark, onTheme } from "./theme.js";

const SLOTS = 4096;
const BANDS_MAX = 3;
const LIT_MS = 1_600;
const TURN = 2 * Math.PI;
const canvas = byId("ring-canvas");
const middle = byId("ring-middle");
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** @type {{rf: number, members: {id: string}[], slots: number[][]}} */
let ring = { rf: 0, members: [], slots: [] };
let nodes = new Map();
let colors = new Map();
let chosen;
let picture;
/** Slots by the names of their owners, and where each is in that order. */
let order = [];
const positions = new Uint16Array(SLOTS);
/** Slot → when it changed hands. */
const lit = new Map();
let painting = false;

/** The whole table. */
export function showRing(next) {
  ring = next;
  colors = nodeColors(ring.members.map(({ id }) => id));
  putInOrder();
  describe();
  paintSoon();
}

/** Slots that changed hands. */
export function showMoved(moved) {
  const now = performance.now();
  for (const [slot, members] of moved) {
    ring.slots[slot] = members;
    lit.set(slot, now);
  }
  putInOrder();
  describe();
  paintSoon();
}

function putInOrder() {
  const names = byNames().reduce((ranks, place, rank) => ranks.set(place, rank), new Map());
  const weightOf = (members) =>
    [0, 1, 2].reduce((sum, band) => sum * 1024 + (members[band] === undefined ? 1023 : names.get(members[band])), 0);
  const weights = ring.slots.map(weightOf);
  order = ring.slots.map((_, slot) => slot).sort((a, b) => weights[a] - weights[b] || a - b);
  order.forEach((slot, position) => (positions[slot] = position));
  picture = undefined;
}

/** Places of members, by name. */
function byNames() {
  const idOf = (place) => ring.members[place].id;
  return ring.members.map((_, place) => place).sort((a, b) => idOf(a).localeCompare(idOf(b), "en", { numeric: true }));
}

/** What is known of the nodes beside: a node that is down is hatched. */
export function showStates(list) {
  const changed = list.some(({ id, state }) => nodes.get(id) !== state) || list.length !== nodes.size;
  nodes = new Map(list.map(({ id, state }) => [id, state]));
  if (changed) paintSoon();
}

/** Lets a node stand out; undefined: none does. */
export function choose(id) {
  if (chosen === id) return;
  chosen = id;
  picture = undefined;
  paintSoon();
}

export function colorOf(id) {
  return colors.get(id) ?? color("muted");
}

/** Words in the middle of the ring. */
export function showMiddle(large, small) {
  middle.replaceChildren(el("b", {}, large), el("span", {}, small));
}

function countsOf() {
  const counts = ring.members.map(() => 0);
  for (const members of ring.slots) for (const place of members) counts[place]++;
  return counts;
}

function describe() {
  const counts = countsOf();
  const total = counts.reduce((sum, count) => sum + count, 0);
  const shares = ring.members.map(({ id }, place) => `${id} ${share(total === 0 ? 0 : counts[place] / total)}`);
  const text = shares.length === 0 ? "The ring, empty" : `The ring: ${shares.join(", ")} of all copies of slots`;
  canvas.setAttribute("aria-label", text);
}

function paintSoon() {
  if (painting) return;
  painting = true;
  requestAnimationFrame(() => {
    painting = false;
    paint();
  });
}

function paint() {
  const scale = devicePixelRatio || 1;
  const size = canvas.clientWidth;
  if (size === 0) return;
  if (canvas.width !== Math.round(size * scale)) {
    canvas.width = canvas.height = Math.round(size * scale);
    picture = undefined;
  }
  const layout = layoutOf(size);
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, size, size);
  if (ring.members.length === 0) return paintEmpty(context, layout);
  picture ??= bandsPicture(layout, scale);
  context.drawImage(picture, 0, 0, size, size);
  paintShares(context, layout);
  paintLit(context, layout);
}

function layoutOf(size) {
  const longest = Math.max(0, ...ring.members.map(({ id }) => labelOf(id).length));
  const labels = Math.max(size < 360 ? 26 : 40, longest * 7 + 12);
  const outer = size / 2 - labels;
  const thick = Math.max(16, size * 0.06);
  const bands = Math.max(1, Math.min(BANDS_MAX, ...ring.slots.map(({ length }) => Math.max(1, length))));
  const bandsOuter = outer - thick - 12;
  const bandThick = Math.max(9, Math.min(size * 0.045, (bandsOuter * 0.42) / bands));
  return { size, center: size / 2, outer, thick, bands, bandsOuter, bandThick };
}

/** Among many nodes further copies are but a texture, until a node is pointed at. */
function isCrowded() {
  return ring.members.length > 8;
}

function wedge(context, { center }, { from, to, outer, inner }) {
  context.beginPath();
  context.arc(center, center, outer, from, to);
  context.arc(center, center, inner, to, from, true);
  context.closePath();
}

const angleOf = (slot) => (slot / SLOTS) * TURN - TURN / 4;

function bandsPicture(layout, scale) {
  const { size, bands, bandsOuter, bandThick } = layout;
  const made = document.createElement("canvas");
  made.width = made.height = Math.round(size * scale);
  const context = made.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  for (let band = 0; band < bands; band++) {
    const outer = bandsOuter - band * (bandThick + 2);
    for (const { from, to, place } of runsOf(band)) {
      const id = ring.members[place]?.id;
      context.globalAlpha = chosen === undefined ? (band > 0 && isCrowded() ? 0.35 : 1) : chosen === id ? 1 : 0.1;
      context.fillStyle = id === undefined ? color("line") : colorOf(id);
      wedge(context, layout, { from: angleOf(from), to: angleOf(to) + 0.0006, outer, inner: outer - bandThick });
      context.fill();
    }
  }
  return made;
}

/** Neighbouring slots whose copy of that rank has one owner. */
function* runsOf(band) {
  let from = 0;
  for (let at = 1; at <= order.length; at++) {
    const place = ring.slots[order[from]]?.[band];
    if (at < order.length && ring.slots[order[at]]?.[band] === place) continue;
    yield { from, to: at, place };
    from = at;
  }
}

function paintShares(context, layout) {
  const { outer, thick } = layout;
  const counts = countsOf();
  const total = counts.reduce((sum, count) => sum + count, 0) || 1;
  const gap = ring.members.length > 1 ? 0.012 : 0;
  let at = -TURN / 4;
  for (const place of byNames()) {
    const { id } = ring.members[place];
    const to = at + (counts[place] / total) * TURN;
    const dim = chosen !== undefined && chosen !== id;
    if (to - at > gap * 2) {
      context.globalAlpha = dim ? 0.25 : 1;
      context.fillStyle = nodes.get(id) === "down" ? hatch(context) : colorOf(id);
      wedge(context, layout, { from: at + gap, to: to - gap, outer, inner: outer - thick });
      context.fill();
    }
    paintLabel(context, layout, { id, angle: (at + to) / 2, part: counts[place] / total, dim });
    at = to;
  }
  context.globalAlpha = 1;
}

function hatch(context) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const inner = tile.getContext("2d");
  inner.fillStyle = color("bad-soft");
  inner.fillRect(0, 0, 8, 8);
  inner.strokeStyle = color("bad");
  inner.lineWidth = 2.5;
  inner.beginPath();
  for (const offset of [-8, 0, 8]) {
    inner.moveTo(offset, 8);
    inner.lineTo(offset + 8, 0);
  }
  inner.stroke();
  return context.createPattern(tile, "repeat");
}

/** A name as short as it can be told from the others: without what all of them begin with. */
function labelOf(id) {
  const ids = ring.members.map((member) => member.id);
  const common = /^.*[^0-9A-Za-z]/.exec(ids[0] ?? "")?.[0] ?? "";
  const short =
    ids.length > 1 && ids.every((one) => one.startsWith(common) && one !== common) ? id.slice(common.length) : id;
  return short.length > 8 ? `${short.slice(0, 7)}…` : short;
}

function paintLabel(context, { center, outer, size }, { id, angle, part, dim }) {
  if (part === 0 || (part < 0.012 && ring.members.length > 24)) return;
  const many = ring.members.length > 10 || size < 360;
  const [across, down] = [Math.cos(angle), Math.sin(angle)];
  const [x, y] = [center + across * (outer + 8), center + down * (outer + (many ? 10 : 18))];
  context.globalAlpha = dim ? 0.35 : 1;
  context.fillStyle = nodes.get(id) === "down" ? color("bad") : color("text");
  context.font = `600 ${many ? 11 : 13}px system-ui, sans-serif`;
  context.textAlign = Math.abs(across) < 0.25 ? "center" : across > 0 ? "left" : "right";
  context.textBaseline = "middle";
  context.fillText(labelOf(id), x, many ? y : y - 7);
  if (many) return;
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = color("muted");
  context.fillText(share(part), x, y + 8);
}

/** Slots that changed hands a moment ago: ticks across the bands, in the colour of the text, fading. */
function paintLit(context, layout) {
  const { bands, bandsOuter, bandThick } = layout;
  const now = performance.now();
  for (const [slot, at] of lit) {
    const age = (now - at) / LIT_MS;
    if (age >= 1) {
      lit.delete(slot);
      continue;
    }
    context.globalAlpha = still.matches ? 0.8 : 0.9 * (1 - age);
    context.fillStyle = isDark() ? "#ffffff" : "#0b1220";
    const inner = bandsOuter - bands * (bandThick + 2);
    wedge(context, layout, {
      from: angleOf(positions[slot]),
      to: angleOf(positions[slot] + 1) + 0.002,
      outer: bandsOuter + 7,
      inner,
    });
    context.fill();
  }
  context.globalAlpha = 1;
  if (lit.size > 0) setTimeout(paintSoon, still.matches ? 400 : 33);
}

function paintEmpty(context, { center, outer, thick }) {
  context.save();
  context.strokeStyle = color("line");
  context.lineWidth = thick;
  context.setLineDash([6, 6]);
  context.beginPath();
  context.arc(center, center, outer - thick / 2, 0, TURN);
  context.stroke();
  context.restore();
}

/** Which node's sector lies under the pointer. */
function nodeAt(event) {
  const box = canvas.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
  const { outer, thick, bands, bandsOuter, bandThick } = layoutOf(box.width);
  const radius = Math.hypot(x, y);
  const turn = (Math.atan2(y, x) / TURN + 1.25) % 1;
  if (radius <= outer + 24 && radius >= outer - thick) {
    const counts = countsOf();
    const total = counts.reduce((sum, count) => sum + count, 0) || 1;
    let sum = 0;
    return ring.members[byNames().find((place) => (sum += counts[place] / total) >= turn)]?.id;
  }
  const band = Math.floor((bandsOuter - radius) / (bandThick + 2));
  if (band < 0 || band >= bands) return undefined;
  return ring.members[ring.slots[order[Math.floor(turn * SLOTS)]]?.[band]]?.id;
}

/** @param onChoose Told which node is pointed at. */
export function startRing(onChoose) {
  canvas.addEventListener("pointermove", (event) => onChoose(nodeAt(event)));
  canvas.addEventListener("pointerleave", () => onChoose(undefined));
  new ResizeObserver(paintSoon).observe(canvas);
  onTheme(() => {
    colors = nodeColors(ring.members.map(({ id }) => id));
    picture = undefined;
    paintSoon();
  });
}

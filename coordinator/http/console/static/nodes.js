// Nodes: a row for each, kept in place from second to second so that focus and selection survive; and who leads, who stands by.
import { byId, bytes, count, duration, el, plural, rate, setText, share } from "./format.js";
import { removeNode } from "./manage.js";
import { choose, colorOf } from "./ring.js";

const body = byId("nodes");
const rows = new Map();

export function showNodes({ nodes }) {
  const ids = new Set(nodes.map(({ id }) => id));
  for (const [id, row] of rows) {
    if (ids.has(id)) continue;
    row.element.remove();
    rows.delete(id);
  }
  const sorted = [...nodes].sort((a, b) => a.id.localeCompare(b.id, "en", { numeric: true }));
  sorted.forEach((node, index) => {
    const row = rows.get(node.id) ?? newRow(node.id);
    if (body.children[index] !== row.element) body.insertBefore(row.element, body.children[index] ?? null);
    fill(row, node, Math.max(...nodes.map((other) => other.share), 0.0001));
  });
}

/** Lets a row stand out with its node on the ring. */
export function markRow(id) {
  for (const [own, { element }] of rows) element.classList.toggle("chosen", own === id);
}

function newRow(id) {
  // Roles are said, and names repeated, for narrow screens: there the style makes a card of each row, which is no table to a browser.
  const cell = (classes = "", name, ...children) =>
    el(`td${classes}`, { role: "cell", "data-name": name }, ...children);
  const parts = {
    state: el("span.badge"),
    bar: el("span.bar-fill"),
    share: el("span.mono"),
    address: el("span.muted.small.mono"),
    dot: el("span.swatch", { "aria-hidden": "true" }),
    keys: cell(".number", "Keys"),
    bytes: cell(".number.wide", "Bytes"),
    ops: cell(".number", "Ops/s"),
    heard: cell(".number.narrow-gone", "Heard"),
    behind: el("span.small.muted"),
  };
  const remove = el(
    "button.small",
    { type: "button", "aria-label": `Remove node ${id}`, onclick: () => removeNode(id) },
    "Remove",
  );
  const element = el(
    "tr",
    { "data-node": id, role: "row" },
    el(
      "th",
      { scope: "row", role: "rowheader" },
      el("span.node-name", {}, parts.dot, el("span", {}, el("b", {}, id), parts.address)),
    ),
    cell("", undefined, el("span.state", {}, parts.state, parts.behind)),
    cell("", "Share", el("span.share", {}, el("span.bar", { "aria-hidden": "true" }, parts.bar), parts.share)),
    parts.keys,
    parts.bytes,
    parts.ops,
    parts.heard,
    cell(".number", undefined, remove),
  );
  element.addEventListener("pointerenter", () => choose(id));
  element.addEventListener("pointerleave", () => choose(undefined));
  element.addEventListener("focusin", () => choose(id));
  element.addEventListener("focusout", () => choose(undefined));
  const row = { element, ...parts };
  rows.set(id, row);
  return row;
}

function fill(row, node, largest) {
  const { id, address, state, keys, lastHeardMs, opsPerSecond, missed, unchecked, behindMs } = node;
  put(row.state, state);
  row.state.className = `badge ${state}`;
  put(row.address, address);
  row.dot.style.background = colorOf(id);
  row.bar.style.background = colorOf(id);
  row.bar.style.width = `${(node.share / largest) * 100}%`;
  put(row.share, share(node.share));
  put(row.keys, count(keys));
  put(row.bytes, bytes(node.bytes));
  put(row.ops, rate(opsPerSecond));
  put(row.heard, lastHeardMs === null ? "never" : duration(lastHeardMs));
  row.heard.classList.toggle("bad-text", lastHeardMs === null || lastHeardMs > 1_500);
  put(
    row.behind,
    missed > 0 ? `${plural(missed, "slot")} behind for ${duration(behindMs)}` : unchecked > 0 ? "checking" : "",
  );
  row.behind.classList.toggle("warn-text", missed > 0);
  row.element.classList.toggle("down", state === "down");
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function showCoordinators({ leader, standbys, epoch, coordinators }) {
  const text = JSON.stringify([leader?.address, standbys, epoch, coordinators]);
  const list = byId("coordinators");
  if (list.dataset.shown === text) return;
  list.dataset.shown = text;
  const chip = (address, kind, note) =>
    el(
      "li.chip",
      {},
      el(`span.badge.${kind}`, {}, kind),
      el("span.mono", {}, address),
      el("span.muted.small", {}, note),
    );
  list.replaceChildren(
    ...(leader ? [chip(leader.address, "leader", `epoch ${epoch}`)] : []),
    ...standbys.map((address) => chip(address, "standby", "follows")),
  );
  setText("tile-standbys", String(standbys.length));
  setText("tile-standbys-note", standbys[0] ?? "none: start one");
}

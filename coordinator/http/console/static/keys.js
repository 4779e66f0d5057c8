// Keys: finds keys by prefix, a page at a time; shows a key's value, version and replicas; stores and deletes on the condition that the
// version is still the one that is shown, so that nobody's later write is lost.
import { call, deleteKey, getKey, putKey, wordsOf } from "./api.js";
import { byId, el, plural, setText } from "./format.js";
import { confirm } from "./manage.js";

const PAGE = 50;
const list = byId("key-list");
const detail = byId("key-detail");
const more = byId("more");
let cursor;
let found = 0;
let chosen;

export function startKeys() {
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    void search();
  });
  more.addEventListener("click", () => void nextPage());
  byId("new-key").addEventListener("click", edit);
}

const level = () => byId("level").value;
/** Conditions need a quorum at least. */
const writeLevel = () => (level() === "all" ? "all" : "quorum");

async function search() {
  cursor = undefined;
  found = 0;
  list.replaceChildren();
  await nextPage();
}

async function nextPage() {
  const query = new URLSearchParams({ prefix: byId("prefix").value, limit: String(PAGE), ...(cursor && { cursor }) });
  try {
    const { keys, cursor: next } = await call("GET", `/keys?${query}`);
    cursor = next;
    found += keys.length;
    list.append(...keys.map(itemOf));
    setText(
      "search-note",
      found === 0 ? "No key begins like that." : `${plural(found, "key")}${next ? ", and more" : ""}`,
    );
  } catch (error) {
    setText("search-note", wordsOf(error));
  }
  more.hidden = cursor === undefined;
}

function itemOf(key) {
  const button = el("button.key.mono", { type: "button", title: key, onclick: () => void open(key) }, key);
  button.dataset.key = key;
  if (key === chosen) button.setAttribute("aria-current", "true");
  return el("li", {}, button);
}

function mark(key) {
  chosen = key;
  for (const button of list.querySelectorAll("button")) {
    if (button.dataset.key === key) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}

async function open(key, message) {
  mark(key);
  // What is shown of another reading can't be edited any more: the new one would take its place under one's hands.
  detail.replaceChildren(el("h3.mono.key-name", {}, key), el("p.muted.small", { role: "status" }, "Reading…"));
  const where = call("GET", `/admin/where?${new URLSearchParams({ key })}`).catch(() => undefined);
  try {
    const entry = await getKey(key, level());
    if (chosen === key) show({ ...entry, key }, await where, message);
  } catch (error) {
    const replicas = await where;
    if (chosen === key) show({ key }, replicas, error.code === "NOT_FOUND" ? "This key has no value." : wordsOf(error));
  }
}

function show({ key, value, version, stale }, where, message) {
  const binary = value !== undefined && typeof value !== "string";
  const text = el("textarea.mono", {
    id: "value",
    rows: 6,
    spellcheck: false,
    value: binary ? value.base64 : (value ?? ""),
  });
  const result = el("p.small", { role: "status" }, message ?? "");
  const write = (what) => void changed(what, { key, version, result });
  const save = () => write(() => putKey(key, stored(text.value, { binary, version })));
  const remove = async () => {
    const sure = await confirm({
      title: "Delete this key?",
      text: `${key} is deleted if its version is still ${version}.`,
      action: "Delete",
      dangerous: true,
    });
    if (sure) write(() => deleteKey(key, { version, consistency: writeLevel() }));
  };
  const present = version !== undefined;
  detail.replaceChildren(
    el("h3.mono.key-name", {}, key),
    el(
      "p.muted.small",
      {},
      present
        ? `Version ${version}${stale ? " · read at level one: may be stale" : ""}${binary ? " · bytes, as base64" : ""}`
        : "No version",
    ),
    el("label", { for: "value" }, binary ? "Value (base64)" : "Value"),
    text,
    el(
      "div.buttons",
      {},
      el("button", { type: "button", onclick: () => void open(key) }, "Read again"),
      present && el("button.danger", { type: "button", onclick: () => void remove() }, "Delete…"),
      el("button.primary", { type: "button", onclick: save }, "Save"),
    ),
    result,
    ...(where ? replicasOf(where) : []),
  );
}

function stored(text, { binary, version }) {
  return { value: binary ? { base64: text } : text, version, consistency: writeLevel() };
}

async function changed(write, { key, result }) {
  result.className = "small";
  result.textContent = "Storing…";
  try {
    const { version } = await write();
    await open(key, `Done: version ${version}.`);
  } catch (error) {
    result.className = "small bad-text";
    result.textContent =
      error.code === "CONDITION_FAILED"
        ? `Changed meanwhile${error.version ? ` (version ${error.version})` : ""}: read again first.`
        : wordsOf(error);
  }
}

function replicasOf({ slot, replicas }) {
  const row = ({ id, status, version, tombstone, digest, inStep }) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, id),
      el(
        "td",
        {},
        el(
          `span.badge.${status === "ok" ? (inStep ? "up" : "suspect") : "down"}`,
          {},
          status === "ok" ? (inStep ? "in step" : "behind") : status,
        ),
      ),
      el("td.mono", {}, version ? `${version}${tombstone ? " (deleted)" : ""}` : "–"),
      el("td.mono", {}, digest ?? "–"),
    );
  return [
    el("h4", {}, `Replicas of slot ${slot}`),
    el(
      "div.scroll",
      { role: "region", "aria-label": "Replicas of the key", tabIndex: 0 },
      el(
        "table",
        {},
        el(
          "thead",
          {},
          el("tr", {}, ...["Node", "State", "Version", "Value digest"].map((name) => el("th", { scope: "col" }, name))),
        ),
        el("tbody", {}, ...replicas.map(row)),
      ),
    ),
  ];
}

/** A key that is not there yet. */
function edit() {
  mark(undefined);
  const key = el("input.mono", {
    id: "new-key-name",
    required: true,
    maxLength: 1024,
    autocomplete: "off",
    spellcheck: false,
  });
  const text = el("textarea.mono", { id: "new-value", rows: 6, spellcheck: false });
  const result = el("p.small", { role: "status" });
  const form = el(
    "form",
    {},
    el("h3", {}, "New key"),
    el("label", { for: "new-key-name" }, "Key"),
    key,
    el("label", { for: "new-value" }, "Value"),
    text,
    el("div.buttons", {}, el("button.primary", { type: "submit" }, "Store")),
    result,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const name = key.value;
    chosen = name;
    void changed(() => putKey(name, stored(text.value, { binary: false })), { key: name, result });
  });
  detail.replaceChildren(form);
  key.focus();
}

// Manage: adding and removing nodes and changing the number of copies. Each shows what would move (a dry run) before there is a button
// that does it. One dialog serves all, and the questions that other parts ask.
import { call, wordsOf } from "./api.js";
import { byId, bytes, count, el, plural } from "./format.js";

const dialog = byId("dialog");
const form = byId("dialog-form");
/** The cluster as last seen. */
let cluster = { role: "waiting", rf: 3, nodes: [] };

export function knowCluster(next) {
  cluster = next;
}

/** @param role `new` where the first node makes the cluster. */
export function knowRole(role) {
  cluster = { ...cluster, role };
}

/** Shows the dialog. `close(result)` in a handler ends it. @returns the result; undefined where it was left */
function show(content) {
  return new Promise((resolve) => {
    let result;
    const close = (value) => {
      result = value;
      dialog.close();
    };
    dialog.addEventListener("close", () => resolve(result), { once: true });
    form.onsubmit = (event) => event.preventDefault();
    form.replaceChildren(...content(close));
    if (!dialog.open) dialog.showModal();
  });
}

const title = (text) => el("h2", { id: "dialog-title" }, text);
const leave = (close, text = "Close") => el("button", { type: "button", onclick: () => close() }, text);

/** @returns whether it was agreed to */
export async function confirm({ title: heading, text, action, dangerous }) {
  const answer = await show((close) => [
    title(heading),
    el("p", {}, text),
    el(
      "div.buttons",
      {},
      leave(close, "Back"),
      el(`button.${dangerous ? "danger" : "primary"}`, { type: "button", onclick: () => close(true) }, action),
    ),
  ]);
  return answer === true;
}

export async function say(heading, text) {
  await show((close) => [title(heading), el("p", {}, text), el("div.buttons", {}, leave(close))]);
}

export function startManage() {
  byId("add-button").addEventListener("click", () => void addNode());
  byId("copies-button").addEventListener("click", () => void setCopies());
}

function field(label, props, hint) {
  const id = `field-${props.name}`;
  return el(
    "div.field",
    {},
    el("label", { for: id }, label),
    el("input", { id, autocomplete: "off", spellcheck: false, ...props }),
    hint && el("p.muted.small", {}, hint),
  );
}

/** A form whose button shows a plan, and then a button that carries it out. */
async function planned({ heading, fields, read, send }) {
  await show((close) => {
    const problem = el("p.bad-text", { role: "alert" });
    const plan = el("div.plan", { "aria-live": "polite" });
    const go = el("button.primary", { type: "submit" }, "Show the plan");
    let agreed;
    const again = () => {
      agreed = undefined;
      plan.replaceChildren();
      problem.textContent = "";
      go.textContent = "Show the plan";
    };
    for (const input of fields.flatMap((one) => [...one.querySelectorAll("input")]))
      input.addEventListener("input", again);
    form.onsubmit = async (event) => {
      event.preventDefault();
      go.disabled = true;
      try {
        const change = read();
        if (agreed !== undefined) {
          await send(change);
          return close(true);
        }
        plan.replaceChildren(...(await planOf(change)));
        agreed = change;
        go.textContent = heading;
      } catch (error) {
        again();
        problem.textContent = wordsOf(error);
      } finally {
        go.disabled = false;
      }
    };
    return [title(heading), ...fields, plan, problem, el("div.buttons", {}, leave(close, "Back"), go)];
  });
}

async function planOf(change) {
  if (cluster.role === "new") return [el("p", {}, "The first node makes the cluster: nothing has to move.")];
  const {
    slots,
    keys,
    bytes: size,
    copiesBefore,
    copiesAfter,
    nodes,
    notes,
  } = await call("POST", "/admin/plan", { body: change });
  const copies =
    copiesBefore === copiesAfter
      ? plural(copiesAfter, "copy").replace("copys", "copies")
      : `${copiesBefore} → ${copiesAfter} copies`;
  const row = ({ id, slotsBefore, slotsAfter, keysIn, keysOut, bytesIn, bytesOut }) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, id),
      el("td.number", {}, `${count(slotsBefore)} → ${count(slotsAfter)}`),
      el("td.number", {}, `+${count(keysIn)} −${count(keysOut)}`),
      el("td.number", {}, `+${bytes(bytesIn)} −${bytes(bytesOut)}`),
    );
  return [
    el(
      "p",
      {},
      el("b", {}, slots === 0 ? "Nothing has to move." : `${plural(slots, "slot")} would change hands`),
      ` ${plural(keys, "key")}, ${bytes(size)} · ${copies}`,
    ),
    el(
      "div.scroll",
      { role: "region", "aria-label": "The plan, by node", tabIndex: 0 },
      el(
        "table",
        {},
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            el("th", { scope: "col" }, "Node"),
            ...["Slots", "Keys", "Bytes"].map((text) => el("th.number", { scope: "col" }, text)),
          ),
        ),
        el("tbody", {}, ...nodes.map(row)),
      ),
    ),
    ...notes.map((text) => el("p.small.warn-text", {}, text)),
  ];
}

const valueOf = (name) => byId(`field-${name}`).value.trim();

export async function addNode() {
  await planned({
    heading: "Add node",
    fields: [
      field("Name", { name: "id", required: true, maxLength: 64, value: freeName() }),
      field(
        "Address",
        { name: "address", required: true, placeholder: "127.0.0.1:5001" },
        "Where its process listens. Start one with ./node_server 5001.",
      ),
      field(
        "Weight",
        { name: "weight", type: "number", min: 1, max: 100, value: "1" },
        "Its share of the slots beside the others’ weights.",
      ),
    ],
    read: () => ({
      change: "addnode",
      id: valueOf("id"),
      address: valueOf("address"),
      weight: Number(valueOf("weight") || 1),
    }),
    send: ({ id, address, weight }) => call("POST", "/admin/nodes", { body: { id, address, weight } }),
  });
}

/** The first of A, B, C, … that no node has. */
function freeName() {
  const taken = new Set(cluster.nodes.map(({ id }) => id));
  return "ABCDEFGHIJKLMNOPQRSTUVWXYZ".split("").find((letter) => !taken.has(letter)) ?? "";
}

export async function setCopies() {
  await planned({
    heading: "Set copies",
    fields: [
      field(
        "Copies of each key",
        { name: "replicas", type: "number", min: 1, max: 7, required: true, value: String(cluster.rf) },
        "A majority of them takes each write at level quorum.",
      ),
    ],
    read: () => ({ change: "setreplica", replicas: Number(valueOf("replicas")) }),
    send: ({ replicas }) => call("PUT", "/admin/replicas", { body: { replicas } }),
  });
}

export async function removeNode(id) {
  const force = el("input", { type: "checkbox", id: "field-force" });
  await planned({
    heading: `Remove node ${id}`,
    fields: [
      el("p", {}, "Its slots move to the other nodes first; then it is dropped. This works for a dead node too."),
      el(
        "div.field.check",
        {},
        force,
        el("label", { for: "field-force" }, "Even where the only copy of a slot would be lost"),
      ),
    ],
    read: () => ({ change: "removenode", id, ...(force.checked && { force: true }) }),
    send: () => call("DELETE", `/admin/nodes/${encodeURIComponent(id)}${force.checked ? "?force=true" : ""}`),
  });
}

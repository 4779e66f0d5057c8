// Operations: what is rebalancing, how far it has got, what is left, and a way to stop it; then what ended lately.
import { call, wordsOf } from "./api.js";
import { byId, bytes, count, duration, el, plural } from "./format.js";
import { confirm, say } from "./manage.js";

const ENDED_SHOWN = 4;
const list = byId("operations");
const ENDED = ["done", "failed", "cancelled"];
let shown = "";

/** Whether it has not ended. */
export function isOpen({ phase }) {
  return !ENDED.includes(phase);
}

/** Milliseconds left, at the pace so far; undefined while there is none. */
export function timeLeft({ slotsMoved, slotsTotal, elapsedMs }) {
  return slotsMoved === 0 ? undefined : (elapsedMs / slotsMoved) * (slotsTotal - slotsMoved);
}

export function showOperations(operations) {
  const open = operations.filter(isOpen);
  const ended = operations.filter((operation) => !isOpen(operation)).slice(0, ENDED_SHOWN);
  const text = JSON.stringify([open, ended]);
  if (text === shown) return;
  shown = text;
  const focused = document.activeElement?.getAttribute("data-cancel");
  const items = [...open.map(openItem), ...ended.map(endedItem)];
  list.replaceChildren(
    ...(items.length > 0
      ? items
      : [
          el(
            "li.muted.empty",
            {},
            "No slots are moving. Adding or removing a node, or another number of copies, shows here.",
          ),
        ]),
  );
  if (focused) list.querySelector(`[data-cancel="${CSS.escape(focused)}"]`)?.focus();
}

function openItem(operation) {
  const { operation: id, command, phase, slotsMoved, slotsTotal, notes = [], ahead } = operation;
  const queued = phase === "queued";
  const words = queued ? (ahead ? `waits behind ${plural(ahead, "other")}` : "begins") : movedText(operation);
  return el(
    "li.operation",
    {},
    el(
      "div.operation-head",
      {},
      el("span.mono.command", {}, command),
      el(`span.badge.${phase}`, {}, phase),
      el(
        "button.small",
        {
          type: "button",
          "data-cancel": id,
          disabled: phase === "cancelling",
          "aria-label": `Cancel ${command}`,
          onclick: () => cancel(operation),
        },
        "Cancel",
      ),
    ),
    el("progress", { max: Math.max(1, slotsTotal), value: slotsMoved, "aria-label": `Slots moved by ${command}` }),
    el("p.small.muted", {}, words),
    ...notes.map((text) => el("p.small.warn-text", {}, text)),
  );
}

function movedText(operation) {
  const { slotsMoved, slotsTotal, keysMoved, bytesMoved, elapsedMs } = operation;
  const left = timeLeft(operation);
  const pace = elapsedMs > 0 ? ` · ${count((keysMoved * 1_000) / elapsedMs)} keys/s` : "";
  const time = left === undefined ? "" : ` · ${duration(left)} left`;
  return `${count(slotsMoved)} of ${plural(slotsTotal, "slot")} · ${plural(keysMoved, "key")} (${bytes(bytesMoved)})${pace}${time}`;
}

function endedItem({ command, phase, slotsMoved, keysMoved, elapsedMs, freezeMs, notes = [] }) {
  const frozen = freezeMs ? ` · held p99 ${freezeMs.p99} ms` : "";
  return el(
    "li.operation.ended",
    {},
    el("div.operation-head", {}, el("span.mono.command", {}, command), el(`span.badge.${phase}`, {}, phase)),
    el(
      "p.small.muted",
      {},
      `${plural(slotsMoved, "slot")}, ${plural(keysMoved, "key")} in ${duration(elapsedMs)}${frozen}`,
    ),
    ...notes.map((text) => el("p.small.warn-text", {}, text)),
  );
}

async function cancel({ operation, command }) {
  const sure = await confirm({
    title: "Cancel this operation?",
    text: `${command} stops safely; slots that have moved stay where they are.`,
    action: "Cancel it",
    dangerous: true,
  });
  if (!sure) return;
  try {
    await call("DELETE", `/admin/operations/${encodeURIComponent(operation)}`);
  } catch (error) {
    await say("It could not be cancelled", wordsOf(error));
  }
}

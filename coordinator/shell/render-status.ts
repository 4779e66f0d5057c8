// `status` and `nodes`: first what an operator asks first (who leads, does every voter answer, is every slot on enough nodes),
// then the nodes, then what moves.
import type { NodeState, NodeStatus, StatusAnswer } from "../../shared/protocol/client-messages.ts";
import { operationLines } from "./operations.ts";
import type { Style } from "./style.ts";
import { tableLines } from "./table.ts";
import { countOf, durationText, shareText, sizeText } from "./text.ts";

/** The whole cluster at a glance. */
export function statusLines(answer: StatusAnswer, style: Style): readonly string[] {
  if (answer.role === "new") return ["No node added yet. Start one with ./node_server 5001, then: addnode A 5001"];
  return [
    ...waitingLines(answer, style),
    ...headLines(answer, style),
    ...(answer.nodes.length === 0 ? [] : ["", ...nodeLines(answer.nodes, style)]),
    ...(answer.operations.length === 0 ? [] : ["", ...operationLines(answer.operations, style)]),
  ];
}

function headLines(answer: StatusAnswer, style: Style): readonly string[] {
  const since = answer.leader === undefined ? "" : ` for ${durationText(answer.leader.sinceMs)}`;
  const leader = answer.leader === undefined ? style.red("none") : style.green(answer.leader.address) + since;
  return [
    `Cluster   ${answer.cluster ?? "-"}`,
    `Leader    ${leader}, epoch ${answer.epoch}`,
    `Standbys  ${answer.standbys.length === 0 ? "none" : answer.standbys.join(", ")}`,
    `Voters    ${voterText(answer, style)}`,
    `Copies    ${copiesText(answer, style)}`,
  ];
}

function voterText(answer: StatusAnswer, style: Style): string {
  const silent = answer.voters.filter((voter) => !voter.answers);
  const all = answer.voters.map((voter) => voter.id).join(", ");
  if (answer.stateAt) return `none: the state is in ${placeText(answer.stateAt, style)}`;
  if (answer.voters.length === 0) return "none";
  if (silent.length === 0) return `${all} (all answer)`;
  const needed = Math.floor(answer.voters.length / 2) + 1;
  const answering = answer.voters.length - silent.length;
  const names = silent.map((voter) => voter.id).join(", ");
  const paint = answering < needed ? style.red : style.yellow;
  return `${all} ${paint(`(no answer from ${names}; ${answering} of the ${needed} needed)`)}`;
}

function placeText({ place, answers }: NonNullable<StatusAnswer["stateAt"]>, style: Style): string {
  return answers ? place : `${place} ${style.yellow("(does not answer: changes of the cluster wait)")}`;
}

function copiesText(answer: StatusAnswer, style: Style): string {
  const wanted =
    answer.copies === answer.rf ? `${answer.rf} of each key` : `${answer.copies} of each key, ${answer.rf} wanted`;
  const short = answer.underReplicatedSlots;
  if (short > 0) return `${wanted}; ${style.yellow(`${countOf(short, "slot")} under-replicated`)}`;
  return answer.copies < answer.rf
    ? `${wanted}; ${style.yellow(`under-replicated: ${answer.rf} wanted, ${countOf(answer.nodes.length, "node")}`)}`
    : `${wanted}; every slot has them`;
}

function waitingLines(answer: StatusAnswer, style: Style): readonly string[] {
  if (answer.role !== "waiting") return [];
  const missing = answer.waitingFor ?? [];
  return [
    style.yellow("Waiting: not enough voters answer. Start at least one of these again:"),
    ...missing.map(({ id, address }) => `  ${id}: ./node_server ${address.slice(address.lastIndexOf(":") + 1)}`),
    "",
  ];
}

/** A table of nodes. */
export function nodeLines(nodes: readonly NodeStatus[], style: Style): readonly string[] {
  // Said only where there is something to say: a healthy table stays narrow.
  const lagging = nodes.some(({ behindMs }) => behindMs !== null);
  const right = ["slots", "share", "keys", "bytes", "heard", "delay", ...(lagging ? ["behind"] : [])];
  const columns = [
    { title: "node" },
    { title: "address" },
    { title: "state" },
    ...right.map((title) => ({ title, align: "right" as const })),
    { title: "vote" },
  ];
  const rows = nodes.map((node) => [
    node.id,
    node.address,
    stateText(node.state, style),
    String(node.slots),
    shareText(node.share),
    String(node.keys ?? "?"),
    node.bytes === null ? "?" : sizeText(node.bytes),
    orUnknown(node.lastHeardMs),
    orUnknown(node.eventLoopDelayMs),
    ...(lagging ? [lagText(node, style)] : []),
    node.voter ? "yes" : "",
  ]);
  return tableLines(columns, rows, style);
}

/** One node, a line for each fact. */
export function nodeDetailLines(node: NodeStatus, style: Style): readonly string[] {
  const facts: readonly (readonly [string, string])[] = [
    ["Node", `${style.bold(node.id)} (${node.address})`],
    ["State", stateText(node.state, style)],
    ["Voter", node.voter ? "yes" : "no"],
    ["Weight", String(node.weight)],
    ["Slots", `${node.slots}, ${shareText(node.share)} of all copies`],
    ["Keys", String(node.keys ?? "?")],
    ["Bytes", node.bytes === null ? "?" : sizeText(node.bytes)],
    ["Heartbeat", node.lastHeardMs === null ? "never" : `${durationText(node.lastHeardMs)} ago`],
    ["Event loop", node.eventLoopDelayMs === null ? "?" : `${durationText(node.eventLoopDelayMs)} delay`],
    ["In step", inStepText(node)],
    ["Incarnation", node.incarnation],
  ];
  return facts.map(([name, fact]) => `${name.padEnd(12)}${fact}`);
}

/** Slots in which it may lack something. */
function lagText({ missed, unchecked }: NodeStatus, style: Style): string {
  if (missed > 0) return style.yellow(countOf(missed, "slot"));
  return unchecked > 0 ? `${unchecked} to check` : "";
}

function inStepText({ missed, unchecked, behindMs }: NodeStatus): string {
  if (behindMs === null) return "yes";
  const missedText = missed > 0 ? `${countOf(missed, "slot")} missed writes` : "";
  const uncheckedText = unchecked > 0 ? `${countOf(unchecked, "slot")} not compared yet` : "";
  return `not for ${durationText(behindMs)}: ${[missedText, uncheckedText].filter((text) => text !== "").join(", ")}`;
}

function orUnknown(ms: number | null): string {
  return ms === null ? "?" : durationText(ms);
}

function stateText(state: NodeState, style: Style): string {
  switch (state) {
    case "up":
      return style.green(state);
    case "down":
      return style.red(state);
    case "suspect":
      return style.yellow(state);
    case "joining":
    case "draining":
      return style.cyan(state);
  }
}

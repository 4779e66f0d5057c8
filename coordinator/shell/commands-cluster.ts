// Commands that change the cluster: addnode, removenode, setreplica, their dry run, and stopping one that runs. Slots move while
// clients work; the shell watches, and what it says at the start is the wording of the original program.
import type { NodeId } from "../../shared/ids.ts";
import { WEIGHT_MAX } from "../../shared/limits.ts";
import type { PlanAnswer, ProgressAnswer, TopologyChange } from "../../shared/protocol/client-messages.ts";
import type { RepairAnswer } from "../../shared/protocol/repair-messages.ts";
import { required, withoutId } from "./arguments.ts";
import type { Arguments, CommandSpec, Reply, ShellContext } from "./command.ts";
import { UsageError } from "./failure.ts";
import { endLine, operationLines } from "./operations.ts";
import { tableLines } from "./table.ts";
import { countOf, cut, safeText, sizeText } from "./text.ts";

export const ADDNODE: CommandSpec = {
  name: "addnode",
  group: "cluster",
  args: [
    { name: "id", kind: "node" },
    { name: "address", kind: "address" },
  ],
  options: [{ name: "weight", value: "w", help: `times the data of a node of weight 1, up to ${WEIGHT_MAX}` }],
  help: "add a storage node and rebalance",
  details: ["The node must run: ./node_server <port>. Clients are served meanwhile."],
  examples: ["addnode A 5001", "addnode B 10.0.0.2:5001 --weight 2"],
  writes: true,
  lookWith: () => "ops",
  change: (context, args) => {
    const weight = weightOf(args);
    const node = required(args, "id") as NodeId;
    const address = context.address(required(args, "address"));
    return { op: "addnode", node, address, ...(weight === undefined ? {} : { weight }) };
  },
  run: async (context, args) => {
    const id = required(args, "id");
    const address = context.address(required(args, "address"));
    const started = [`Node added: ${id} (${address})`, `Rebalancing after adding node ${id}...`];
    return await change(context, { command: ADDNODE, args, started });
  },
};

export const REMOVENODE: CommandSpec = {
  name: "removenode",
  group: "cluster",
  args: [{ name: "id", kind: "node" }],
  options: [{ name: "force", help: "even where the last copy goes; says what is lost" }],
  help: "move its slots to others, then drop a node",
  details: ["Works on a dead node too: its slots are copied from the other replicas."],
  examples: ["removenode A", "plan removenode A"],
  writes: true,
  lookWith: () => "ops",
  change: (_context, args) => {
    const force = args.options["force"] !== undefined;
    return { op: "removenode", node: required(args, "id") as NodeId, ...(force ? { force } : {}) };
  },
  run: async (context, args) => {
    const id = required(args, "id");
    const started = [`Rebalancing before removing node ${id}...`];
    return await change(context, { command: REMOVENODE, args, started, ended: `Node removed: ${id}` });
  },
};

export const SETREPLICA: CommandSpec = {
  name: "setreplica",
  group: "cluster",
  args: [{ name: "N", kind: "copies" }],
  help: "set how many nodes hold each key",
  details: ["More than there are nodes is accepted, and reached once there are enough."],
  examples: ["setreplica 2"],
  writes: true,
  lookWith: () => "ops",
  change: (_context, args) => ({ op: "setreplica", rf: Number(required(args, "N")) }),
  run: async (context, args) => {
    const started = [`[Coordinator] Replica set to ${required(args, "N")}`];
    return await change(context, { command: SETREPLICA, args, started });
  },
};

export const PLAN: CommandSpec = {
  name: "plan",
  group: "cluster",
  args: [{ name: "change", kind: "change" }],
  help: "dry run: what such a command would move",
  details: ["For addnode, removenode and setreplica; shows slots, keys and bytes."],
  examples: ["plan addnode D 5004", "plan removenode A", "plan setreplica 2"],
  run: async (context, args) => {
    const { nested } = args;
    const planned = nested?.command.change?.(context, nested.args);
    if (planned === undefined) throw new UsageError("what should be planned is missing");
    const answer = await context.call<"plan">({ op: "plan", change: planned });
    return { lines: planLines(context, answer), json: withoutId(answer) };
  },
};

export const REPAIR: CommandSpec = {
  name: "repair",
  group: "cluster",
  args: [{ name: "id", kind: "node", optional: true }],
  help: "compare all replicas and mend what differs, now",
  details: ["Happens by itself, too, in the background; nothing that clients see changes."],
  examples: ["repair", "repair A"],
  writes: true,
  lookWith: () => "nodes",
  run: async (context, args) => {
    const node = args.words["id"];
    const message = { op: "repair" as const, ...(node !== undefined && { node: node as NodeId }) };
    const answer = await context.call<"repair">(message);
    return { lines: repairLines(answer, context), json: withoutId(answer), status: answer.slotsLeft > 0 ? 1 : 0 };
  },
};

function repairLines({ slotsCompared, slotsDifferent, keysMended, slotsLeft }: RepairAnswer, context: ShellContext) {
  const found =
    slotsDifferent === 0 ? "no difference" : `${slotsDifferent} differed, ${countOf(keysMended, "key")} mended`;
  const left = `${countOf(slotsLeft, "slot")} left: too few members answer, or they change hands; see nodes, repair again`;
  return [
    `${countOf(slotsCompared, "slot")} compared: ${found}.`,
    ...(slotsLeft === 0 ? [] : [context.style.yellow(left)]),
  ];
}

export const STEPDOWN: CommandSpec = {
  name: "stepdown",
  group: "cluster",
  args: [],
  help: "hand the leadership to a standby, now",
  details: ["For planned work on the leader's machine.", "Operations wait for a moment, none fails."],
  examples: ["stepdown"],
  writes: true,
  lookWith: () => "status",
  run: async (context) => {
    const answer = await context.call<"stepdown">({ op: "stepdown" });
    return { lines: [`The leader is now ${safeText(answer.leader)}.`], json: withoutId(answer) };
  },
};

export const RECOVER: CommandSpec = {
  name: "recover",
  group: "cluster",
  args: [],
  options: [{ name: "unsafe", help: "there is no other way" }],
  help: "when most voters are gone for good",
  details: ["A command of its own, since nobody leads then: ./runtime recover --unsafe", "beside a cluster file."],
  examples: ["recover --unsafe"],
  run: () => {
    const hint = "in a terminal, beside a cluster file: ./runtime recover --unsafe";
    return Promise.reject(new UsageError("a shell asks the leader, and there is none to ask", { hint }));
  },
};

export const OPS: CommandSpec = {
  name: "ops",
  group: "cluster",
  args: [],
  help: "rebalances that run or wait",
  examples: ["ops"],
  run: async (context) => {
    const answer = await context.call<"ops">({ op: "ops" });
    const none = answer.operations.length === 0;
    const lines = none ? ["No operations running."] : operationLines(answer.operations, context.style);
    return { lines, json: withoutId(answer) };
  },
};

export const CANCEL: CommandSpec = {
  name: "cancel",
  group: "cluster",
  args: [{ name: "op", kind: "operation" }],
  help: "stop a rebalance; what has moved stays moved",
  examples: ["cancel 3"],
  writes: true,
  lookWith: () => "ops",
  run: async (context, args) => {
    const operation = required(args, "op");
    const answer = await context.call<"cancel">({ op: "cancel", operation });
    const line = `Cancelling operation ${safeText(cut(operation, 40))}: slots already moved stay moved.`;
    return { lines: [line], json: { ...withoutId(answer), operation } };
  },
};

interface ChangeOptions {
  readonly command: CommandSpec;
  readonly args: Arguments;
  readonly started: readonly string[];
  readonly ended?: string;
}

async function change(context: ShellContext, options: ChangeOptions): Promise<Reply> {
  const message = options.command.change?.(context, options.args) as TopologyChange;
  const followed = await context.follow(message, { started: options.started });
  if (!followed.ended) return leftRunning(followed.operation, options.command.name);
  const { answer } = followed;
  const json = withoutId(answer);
  const summary = endLine(answer, context.style);
  if (answer.phase !== "done") {
    return { lines: [`${stopped(answer)}.`, ...summary], json, status: answer.phase === "cancelled" ? 1 : 3 };
  }
  return { lines: [...summary, ...(options.ended === undefined ? [] : [options.ended])], json };
}

function leftRunning(operation: string, command: string): Reply {
  const line = `Operation ${operation} goes on in the background; \`ops\` shows it, \`cancel ${operation}\` stops it.`;
  return { lines: [line], json: { status: "ok", operation, command, phase: "moving", done: false }, status: 4 };
}

function stopped(answer: ProgressAnswer): string {
  const what = answer.phase === "cancelled" ? "Cancelled" : "Failed";
  return `${what}: ${safeText(answer.command)}; slots already moved stay moved`;
}

function weightOf(args: Arguments): number | undefined {
  const typed = args.options["weight"];
  if (typed === undefined) return undefined;
  const weight = Number(typed);
  if (/^\d+(\.\d+)?$/.test(typed) && weight > 0 && weight <= WEIGHT_MAX) return weight;
  throw new UsageError(`--weight is a number above 0 and up to ${WEIGHT_MAX}, not ${safeText(cut(typed, 40))}`);
}

function planLines(context: ShellContext, plan: PlanAnswer): readonly string[] {
  const { style } = context;
  const copies = plan.copiesBefore === plan.copiesAfter ? "" : ` Copies: ${plan.copiesBefore} -> ${plan.copiesAfter}.`;
  const moved = `${countOf(plan.slots, "slot")}, ${countOf(plan.keys, "key")}, ${sizeText(plan.bytes)}`;
  const columns = [
    { title: "node" },
    ...["slots", "after", "in", "out", "keys in", "out", "bytes in", "out"].map((title) => ({
      title,
      align: "right" as const,
    })),
  ];
  const rows = plan.nodes.map((node) => [
    node.id,
    ...[node.slotsBefore, node.slotsAfter, node.slotsIn, node.slotsOut, node.keysIn, node.keysOut].map(String),
    sizeText(node.bytesIn),
    sizeText(node.bytesOut),
  ]);
  return [
    `${safeText(plan.command)} would move ${moved}.${copies}`,
    ...(rows.length === 0 ? [] : tableLines(columns, rows, style)),
    ...plan.notes.map((note) => style.yellow(safeText(note))),
    style.dim("Nothing was changed."),
  ];
}

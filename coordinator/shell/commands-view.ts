// Commands that look at the cluster: show and stats as in the original program, status, nodes, ring, metrics.
import { KvError } from "../../shared/errors.ts";
import type { MetricsAnswer, NodeStatus, StatsAnswer, StatusAnswer } from "../../shared/protocol/client-messages.ts";
import { withoutId } from "./arguments.ts";
import type { CommandSpec, ShellContext } from "./command.ts";
import { nodeDetailLines, nodeLines, statusLines } from "./render-status.ts";
import { ringLines } from "./render-ring.ts";
import type { Style } from "./style.ts";
import { tableLines } from "./table.ts";
import { countOf, durationText, roundedText } from "./text.ts";

export const SHOW: CommandSpec = {
  name: "show",
  group: "looking",
  args: [],
  help: "nodes with their number of keys",
  examples: ["show"],
  run: async (context) => {
    const { nodes } = await context.call<"status">({ op: "status" });
    const lines = nodes.map((node) => `  ${node.id} (${node.address}, keys=${node.keys ?? "?"}${unlessUp(node)})`);
    return { lines: ["Active Nodes:", ...lines], json: { status: "ok", nodes } };
  },
};

export const STATS: CommandSpec = {
  name: "stats",
  group: "looking",
  args: [],
  help: "totals of nodes and keys",
  examples: ["stats"],
  run: async (context) => {
    const answer = await context.call<"stats">({ op: "stats" });
    return { lines: statsLines(answer), json: withoutId(answer) };
  },
};

export const STATUS: CommandSpec = {
  name: "status",
  group: "looking",
  args: [{ name: "id", kind: "node", optional: true }],
  help: "the cluster at a glance; or one node",
  examples: ["status", "status A"],
  run: async (context, args) => {
    const answer = await context.call<"status">({ op: "status" });
    const id = args.words["id"] ?? (context.connection.kind === "node" ? context.connection.name : undefined);
    if (id === undefined) return { lines: statusLines(answer, context.style), json: withoutId(answer) };
    const node = findNode(answer, id);
    return { lines: nodeDetailLines(node, context.style), json: { status: "ok", ...node } };
  },
};

export const NODES: CommandSpec = {
  name: "nodes",
  group: "looking",
  args: [],
  help: "a table of the nodes",
  examples: ["nodes"],
  run: async (context) => {
    const { nodes } = await context.call<"status">({ op: "status" });
    const lines = nodes.length === 0 ? [NO_NODES] : nodeLines(nodes, context.style);
    return { lines, json: { status: "ok", nodes } };
  },
};

export const RING: CommandSpec = {
  name: "ring",
  group: "looking",
  args: [],
  help: "where each node's slots lie, and its share",
  examples: ["ring"],
  run: async (context) => {
    const answer = await context.call<"ring">({ op: "ring" });
    return { lines: ringLines(answer, context), json: withoutId(answer) };
  },
};

export const METRICS: CommandSpec = {
  name: "metrics",
  group: "looking",
  args: [],
  help: "counts and latencies per operation",
  examples: ["metrics"],
  run: async (context) => {
    const answer = await context.call<"metrics">({ op: "metrics" });
    return { lines: metricsLines(answer, context.style), json: withoutId(answer) };
  },
};

const NO_NODES = "No nodes yet. Start one with ./node_server 5001, then: addnode A 5001";

function unlessUp(node: NodeStatus): string {
  return node.state === "up" ? "" : `, ${node.state}`;
}

function statsLines(answer: StatsAnswer): readonly string[] {
  return [
    "[System Stats]",
    `Nodes: ${answer.nodes}`,
    `Total Keys: ${answer.totalKeys}`,
    `Avg Keys per Node: ${roundedText(answer.averageKeys)}`,
    `Distinct Keys: ${answer.distinctKeys}`,
  ];
}

function findNode(answer: StatusAnswer, id: string): NodeStatus {
  const node =
    answer.nodes.find((candidate) => candidate.id === id) ??
    answer.nodes.find((candidate) => candidate.id.toLowerCase() === id.toLowerCase());
  if (node) return node;
  throw new KvError("NO_SUCH_NODE", `no node ${id}`);
}

/** The table of `metrics`. */
export function metricsLines(answer: MetricsAnswer, style: Style): readonly string[] {
  const titles = ["ok", "failed", "unknown", "per second", "p50", "p99", "max"];
  const columns = [
    { title: "operation" },
    { title: "level" },
    ...titles.map((title) => ({ title, align: "right" as const })),
  ];
  const rows = answer.operations.map((row) => [
    row.operation,
    row.level,
    String(row.ok),
    row.failed === 0 ? "0" : style.yellow(String(row.failed)),
    row.unknown === 0 ? "0" : style.red(String(row.unknown)),
    roundedText(row.perSecond),
    ...[row.p50Ms, row.p99Ms, row.maxMs].map(durationText),
  ]);
  const load = [
    `in flight ${answer.inFlight}`,
    `queued ${answer.queued}`,
    `shed ${answer.shed}`,
    `in doubt ${answer.inDoubt}`,
    countOf(answer.fixes, "fix").replace(/fixs$/, "fixes"),
  ].join(", ");
  return [...(rows.length === 0 ? ["No operations yet."] : tableLines(columns, rows, style)), style.dim(load)];
}

/** Ids of the cluster's nodes, for completion and suggestions. */
export async function nodeIdsOf(context: Pick<ShellContext, "call">): Promise<readonly string[]> {
  const { nodes } = await context.call<"status">({ op: "status" });
  return nodes.map((node) => node.id);
}

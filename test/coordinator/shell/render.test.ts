import { describe, expect, test } from "vitest";
import { COMMANDS } from "../../../coordinator/shell/catalogue.ts";
import { endLine, Narration, progressText, timeLeftMs } from "../../../coordinator/shell/operations.ts";
import { ringLines } from "../../../coordinator/shell/render-ring.ts";
import { statusLines } from "../../../coordinator/shell/render-status.ts";
import { PLAIN } from "../../../coordinator/shell/style.ts";
import { BANNER, commandHelpLines, helpLines, usageLine } from "../../../coordinator/shell/usage.ts";
import type { OperationStatus } from "../../../shared/protocol/client-messages.ts";
import { FakeCluster } from "./fake-cluster.ts";

function clusterOf(nodes: number): FakeCluster {
  const cluster = new FakeCluster();
  for (let index = 0; index < nodes; index++) cluster.addNode(`n${index + 1}`, `127.0.0.1:${5001 + index}`);
  return cluster;
}

describe("ring", () => {
  test.each([3, 20])("with %i nodes each has a row, and no line is wider than the terminal", (nodes) => {
    for (const columns of [80, 120, 60]) {
      const lines = ringLines(clusterOf(nodes).ring(), { columns, style: PLAIN });
      expect(lines).toHaveLength(nodes + 2);
      for (const line of lines.slice(0, -1)) expect(line.length).toBeLessThanOrEqual(columns);
      expect(lines.at(-1)?.length).toBeLessThanOrEqual(80);
    }
  });

  test("shares add up to one, and a strip is empty where the node holds nothing", () => {
    const cluster = clusterOf(4);
    cluster.rf = 1;
    const lines = ringLines(cluster.ring(), { columns: 80, style: PLAIN });
    const shares = lines.slice(1, 5).map((line) => Number(/([\d.]+)%/.exec(line)?.[1]));
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(100);
    expect(lines[1]).toMatch(/^n1 {4}\|█.* .*█/);
  });

  test("an empty ring says how to begin", () => {
    expect(ringLines(new FakeCluster().ring(), { columns: 80, style: PLAIN })[0]).toMatch(/addnode A 5001/);
  });
});

describe("status", () => {
  test("a healthy cluster fits a terminal of 80 columns", () => {
    const lines = statusLines(clusterOf(3).status(), PLAIN);
    expect(lines.slice(0, 5)).toEqual([
      "Cluster   7d3c",
      "Leader    127.0.0.1:7401 for 2 min 5 s, epoch 3",
      "Standbys  none",
      "Voters    n1, n2, n3 (all answer)",
      "Copies    3 of each key; every slot has them",
    ]);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
  });

  test("voters that do not answer, slots with too few copies and missing voters are named", () => {
    const status = clusterOf(2).status();
    const voters = status.voters.map((voter, index) => ({ ...voter, answers: index === 0 }));
    const waitingFor = [{ id: "n2", address: "127.0.0.1:5002" }];
    const text = statusLines({ ...status, voters, underReplicatedSlots: 12, role: "waiting", waitingFor }, PLAIN).join(
      "\n",
    );
    expect(text).toContain("no answer from n2; 1 of the 2 needed");
    expect(text).toContain("12 slots under-replicated");
    expect(text).toContain("n2: ./node_server 5002");
  });

  test("without nodes it says how to begin", () => {
    expect(statusLines(new FakeCluster().status(), PLAIN)).toEqual([
      "No node added yet. Start one with ./node_server 5001, then: addnode A 5001",
    ]);
  });
});

const MOVING: OperationStatus = {
  operation: "3",
  kind: "addnode",
  command: "addnode C 127.0.0.1:5003",
  phase: "moving",
  slotsMoved: 1024,
  slotsTotal: 4096,
  keysMoved: 5_000,
  keysTotal: 20_000,
  bytesMoved: 1,
  elapsedMs: 2_000,
};

describe("operations", () => {
  test("progress shows slots, keys, rate and time left", () => {
    expect(progressText(MOVING)).toBe("1024/4096 slots, 5000/20000 keys, 2500 keys/s, 6.0 s left");
    expect(progressText({ ...MOVING, phase: "waiting", slotsMoved: 0 })).toMatch(/waiting$/);
  });

  test("there is no guess of the time left before anything moved", () => {
    expect(timeLeftMs({ ...MOVING, slotsMoved: 0 })).toBeUndefined();
    expect(timeLeftMs({ ...MOVING, slotsMoved: 4096 })).toBeUndefined();
  });

  test("the closing line tells what moved and how long slots were held; nothing where no key moved", () => {
    expect(endLine({ ...MOVING, freezeMs: { p50: 2, p99: 11, max: 30 } }, PLAIN)).toEqual([
      "Moved 1024 slots and 5000 keys in 2.0 s; freeze per slot: p50 2 ms, p99 11 ms",
    ]);
    expect(endLine({ ...MOVING, keysMoved: 0 }, PLAIN)).toEqual([]);
  });

  test("an operation in the queue says so once, opens once it begins, and tells each note once", () => {
    const narration = new Narration("addnode", ["Node added: C"], PLAIN);
    expect(narration.hear({ ...MOVING, phase: "queued" })).toEqual([]);
    expect(narration.hear({ ...MOVING, phase: "queued", ahead: 1 })).toHaveLength(1);
    expect(narration.hear({ ...MOVING, phase: "queued", ahead: 1 })).toEqual([]);
    expect(narration.hear({ ...MOVING, notes: ["under-replicated: 3 wanted, 2 nodes"] })).toEqual([
      "Node added: C",
      "Note: under-replicated: 3 wanted, 2 nodes",
    ]);
    expect(narration.hear({ ...MOVING, notes: ["under-replicated: 3 wanted, 2 nodes"] })).toEqual([]);
  });
});

describe("help", () => {
  test("the greeting is that of the original program", () => {
    expect(BANNER).toEqual([
      "Distributed KV Store with Consistent Hashing",
      "Commands: addnode <id> <port>, removenode <id>, put <k> <v>, get <k>, del <k>, setreplica <N>, show, stats, exit",
    ]);
  });

  test("every command is listed once, and each tells usage and an example", () => {
    const lines = helpLines(COMMANDS, PLAIN);
    for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(80);
    for (const command of COMMANDS) {
      const own = lines.filter((line) => line.trimStart().split(/\s/)[0] === command.name && line.startsWith("  "));
      expect(own, command.name).toHaveLength(1);
      const detail = commandHelpLines(command, PLAIN);
      expect(detail[0]).toBe(usageLine(command));
      for (const line of detail.slice(1)) expect(line.length, line).toBeLessThanOrEqual(80);
      expect(detail.at(-1)).toMatch(/example: /);
    }
  });

  test("names and aliases are distinct", () => {
    const names = COMMANDS.flatMap((command) => [command.name, ...(command.aliases ?? [])]);
    expect(new Set(names).size).toBe(names.length);
  });
});

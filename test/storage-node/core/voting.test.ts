// V4 and heartbeats, as a storage node decides them: whom it encourages, whom it acknowledges, and what it tells newcomers.
import { beforeEach, expect, test } from "vitest";
import { LeaderWatch } from "../../../shared/leader-watch.ts";
import type { OwnerId } from "../../../shared/ids.ts";
import { CLUSTER, NODE_A, NodeBench, SEED } from "../../support/node-bench.ts";

const OWNER = "0b000000-0000-4000-8000-000000000001";
const LEADER = "127.0.0.1:7401";
const heartbeat = { op: "heartbeat", cluster: CLUSTER, epoch: 1, owner: OWNER, leader: LEADER };
const prevote = (epoch: number): Record<string, unknown> => ({ op: "prevote", cluster: CLUSTER, voter: "A", epoch });

let bench: NodeBench;

beforeEach(() => {
  bench = NodeBench.adopted();
  bench.settle({ op: "accept", ...NODE_A, voter: "A", ballot: [1, 1], owner: OWNER, state: "first", seat: true });
});

test("V4: a voter that hears no leader encourages a candidate above its promise, and promises nothing by it", () => {
  expect(bench.settle(prevote(2))).toMatchObject({ status: "ok" });
  expect(bench.settle({ op: "inspect" })).toMatchObject({ promised: 1 });
  expect(bench.settle(prevote(1))).toMatchObject({ code: "OUT_PROMISED", promised: 1 });
});

test("V4: a voter that has just heard the leader encourages nobody, and says where the leader is", () => {
  expect(bench.settle(heartbeat)).toMatchObject({ status: "ok", ballot: [1, 1], promised: 1 });
  expect(bench.settle(prevote(2))).toMatchObject({ code: "LEADER_ALIVE", leader: LEADER });
});

test("V4: silence for a second, or a closed connection for a moment, ends a leader's life by the voter's own clock", () => {
  const watch = new LeaderWatch();
  const sign = { epoch: 3, owner: OWNER as OwnerId, leader: LEADER };
  expect(watch.alive(0)).toBe(false);
  watch.heard(sign, 7, 1_000);
  expect(watch.alive(1_999)).toBe(true);
  expect(watch.alive(2_000)).toBe(false);
  watch.heard(sign, 7, 3_000);
  watch.gone(8, 3_010);
  expect(watch.alive(3_500)).toBe(true);
  watch.gone(7, 3_500);
  expect(watch.alive(3_599)).toBe(true);
  expect(watch.alive(3_600)).toBe(false);
  watch.heard(sign, 9, 3_600);
  expect(watch.alive(3_900)).toBe(true);
  watch.heard({ ...sign, epoch: 2, leader: "127.0.0.1:1" }, 9, 3_950);
  expect(watch.leader?.leader).toBe(LEADER);
});

test("a leader of an older epoch than was promised or fenced is told so", () => {
  bench.settle({ op: "prepare", cluster: CLUSTER, voter: "A", epoch: 5, owner: OWNER });
  expect(bench.settle(heartbeat)).toMatchObject({ code: "OUT_PROMISED", promised: 5 });
  bench.ask([{ op: "roles" }], 6);
  expect(bench.settle({ ...heartbeat, epoch: 5 })).toMatchObject({ code: "FENCED", fence: 6 });
});

test("a heartbeat of another cluster is refused", () => {
  const cluster = "c0000000-0000-4000-8000-00000000000f";
  expect(bench.settle({ ...heartbeat, cluster })).toMatchObject({ code: "WRONG_NODE" });
  expect(bench.settle(prevote(2))).toMatchObject({ status: "ok" });
});

test("what a leader teaches is told to those that inspect, where it is newer than what was accepted", () => {
  bench.settle({ op: "learn", cluster: CLUSTER, ballot: [1, 4], state: "fourth" });
  expect(bench.settle({ op: "inspect" })).toMatchObject({ ballot: [1, 4], state: "fourth", voter: "A" });
  bench.settle({ op: "learn", cluster: CLUSTER, ballot: [1, 2], state: "second" });
  expect(bench.settle({ op: "inspect" })).toMatchObject({ ballot: [1, 4], state: "fourth" });
});

test("V5: a voter that was taught a newer state than it accepted answers a candidate with that one", () => {
  bench.settle({ op: "learn", cluster: CLUSTER, ballot: [900, 1], state: "without A" });
  const asked = { op: "prepare", cluster: CLUSTER, voter: "A", epoch: 2, owner: OWNER };
  expect(bench.settle(asked)).toMatchObject({ status: "ok", ballot: [900, 1], state: "without A" });
});

test("V3, V5: a leader whose epoch is below the fence seats nobody: a disk that took a lost one's place knows no promise", () => {
  const replaced = new NodeBench();
  replaced.settle({ op: "adopt", ...NODE_A, seed: SEED, epoch: 2 });
  const seat = { op: "accept", ...NODE_A, voter: "A", owner: OWNER, state: "old", seat: true };
  expect(replaced.settle({ ...seat, ballot: [1, 2] })).toMatchObject({ code: "OUT_PROMISED", promised: 2 });
  expect(replaced.settle({ op: "inspect" })).toMatchObject({ voter: null });
  expect(replaced.settle({ ...seat, ballot: [2, 7] })).toMatchObject({ status: "ok" });
});

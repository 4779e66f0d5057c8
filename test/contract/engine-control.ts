// The contract of an engine, second half: purges, roles, and the control state that is recovered.
import { expect, test } from "vitest";
import type { ClusterId, Incarnation, NodeId, OwnerId } from "../../shared/ids.ts";
import { ZERO } from "../../shared/version.ts";
import { slotState } from "../../storage-node/engine/control-state.ts";
import { type EngineBench, listAll, recount, SLOT, value, write } from "./engine-terms.ts";

/** Declares the tests; call it within a describe that keeps the bench. */
export function controlContract(bench: EngineBench): void {
  const { durably, always } = bench;

  test("N9: purge forgets tombstones up to a version, and nothing else", async () => {
    await durably(write("a", value(1, null)), write("b", value(2)), write("c", value(3, null)));
    await bench.harness.compact();
    await durably(write("d", value(4, null)), write("e", value(2, null)), write("f", value(5)));
    await durably({ type: "purge", slot: SLOT, upTo: [1, 3] });
    await always((engine) => {
      expect(engine.list(SLOT, undefined, 10).map(({ key }) => key)).toEqual(["b", "d", "f"]);
      expect(engine.summary(SLOT)).toEqual(recount(listAll(engine, SLOT, 10), [1, 3]));
      expect(slotState(engine.recovered, SLOT + 1).purged).toEqual(ZERO);
    });
    expect(slotState(bench.harness.engine.recovered, SLOT).purged).toEqual([1, 3]);
  });

  test("N9: a tombstone that arrives at or below the purged version is kept, but left out of the digest", async () => {
    await durably({ type: "purge", slot: SLOT, upTo: [1, 5] });
    await durably(write("late", value(4, null)), write("live", value(3)), write("new", value(6, null)));
    await always((engine) => {
      expect(engine.summary(SLOT)).toEqual(recount(listAll(engine, SLOT, 10), [1, 5]));
      expect(engine.summary(SLOT)).toMatchObject({ keys: 1, tombstones: 2 });
      expect(engine.read(SLOT, "late")).toEqual(value(4, null));
    });
    await durably({ type: "purge", slot: SLOT, upTo: [1, 6] });
    await always((engine) => {
      expect(engine.list(SLOT, undefined, 10).map(({ key }) => key)).toEqual(["live"]);
      expect(engine.summary(SLOT)).toEqual(recount(listAll(engine, SLOT, 10), [1, 6]));
    });
  });

  test("N7: a role with wipe makes the registers vanish, and later writes of the slot survive", async () => {
    for (let n = 1; n <= 300; n++)
      bench.harness.engine.append([write(`old ${n}`, value(n)), write(`kept ${n}`, value(n), 8)]);
    await bench.harness.settled(600);
    await bench.harness.compact();
    await durably(write("old 1", value(900)), { type: "purge", slot: SLOT, upTo: [1, 3] });
    await durably(
      { type: "role", slots: [SLOT, 9], role: "incoming", stamp: [2, 1], wipe: true },
      write("new", value(1)),
      write("old 2", value(5)),
    );
    await always((engine) => {
      expect(engine.list(SLOT, undefined, 1000).map(({ key }) => key)).toEqual(["new", "old 2"]);
      expect(engine.read(SLOT, "old 1")).toBeUndefined();
      expect(engine.summary(SLOT)).toEqual(recount(listAll(engine, SLOT, 10), ZERO));
      expect(engine.summary(8).keys).toBe(300);
    });
    expect(slotState(bench.harness.engine.recovered, SLOT)).toMatchObject({
      role: "incoming",
      stamp: [2, 1],
      purged: ZERO,
    });
  });

  test("a role without wipe keeps the registers", async () => {
    await durably(write("apple", value(1)), {
      type: "role",
      slots: [SLOT],
      role: "member",
      stamp: [1, 1],
      wipe: false,
    });
    await always((engine) => expect(engine.read(SLOT, "apple")).toEqual(value(1)));
  });

  test("fence, votes, identity, stamps, roles and copies are recovered", async () => {
    const identity = {
      incarnation: "i-2" as Incarnation,
      cluster: "c" as ClusterId,
      id: "node-1" as NodeId,
      seed: 4_000_000_000,
    };
    await durably(
      { type: "identity", identity },
      { type: "fence", group: 0, epoch: 7 },
      { type: "role", slots: [1, 2, 3], role: "incoming", stamp: [7, 2], wipe: true },
      { type: "copied", slots: [2], stamp: [7, 2] },
      { type: "role", slots: [3], role: "member", stamp: [7, 3], wipe: false },
      { type: "stamp", slots: [1, 4], stamp: [7, 9] },
      { type: "promise", epoch: 8, owner: "owner" as OwnerId },
      { type: "accept", ballot: [8, 1], state: '{"text":"größe"}' },
    );
    await bench.harness.compact();
    await bench.harness.crash();
    await bench.harness.reopen();
    for (let round = 0; round < 2; round++) {
      const { recovered } = bench.harness.engine;
      expect(recovered.identity).toEqual(identity);
      expect(recovered.fence).toBe(7);
      expect(recovered.voter).toEqual({ promised: 8, owner: "owner", ballot: [8, 1], state: '{"text":"größe"}' });
      expect(slotState(recovered, 1)).toMatchObject({ role: "incoming", stamp: [7, 9], copied: false });
      expect(slotState(recovered, 2)).toMatchObject({ role: "incoming", stamp: [7, 2], copied: true });
      expect(slotState(recovered, 3)).toMatchObject({ role: "member", stamp: [7, 3] });
      expect(slotState(recovered, 4)).toMatchObject({ role: "none", stamp: [7, 9] });
      await bench.harness.close();
      await bench.harness.reopen();
    }
  });

  test("the recovered control state belongs to the caller: changing it changes nothing durable", async () => {
    bench.harness.engine.recovered.fence = 99;
    slotState(bench.harness.engine.recovered, SLOT).purged = [9, 9];
    await durably(write("t", value(1, null)));
    await bench.harness.compact();
    expect(bench.harness.engine.summary(SLOT)).toEqual(recount(listAll(bench.harness.engine, SLOT, 10), ZERO));
    await bench.harness.close();
    await bench.harness.reopen();
    expect(bench.harness.engine.recovered.fence).toBe(0);
  });
}

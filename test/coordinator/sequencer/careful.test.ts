// Careful writes (C6, C7) alone, against three replicas that hold what a test says: a refusal is a read, so a write quorum holds what it
// tells before it is told.
import { expect, test } from "vitest";
import type { NodeId } from "../../../shared/ids.ts";
import type { ReadResult } from "../../../shared/protocol/node-messages.ts";
import { Future, run, wait, type Script } from "../../../shared/script.ts";
import { compare, type Version } from "../../../shared/version.ts";
import { carefulWrite } from "../../../coordinator/sequencer/careful.ts";
import type { Issued } from "../../../coordinator/sequencer/drive.ts";
import type { WriteOperation, WriteOutcome } from "../../../coordinator/sequencer/operation.ts";
import { ReadCache } from "../../../coordinator/sequencer/read-cache.ts";
import type { RegisterIo } from "../../../coordinator/sequencer/register-io.ts";
import type { SequencerServices } from "../../../coordinator/sequencer/services.ts";

const MEMBERS = ["A", "B", "C"] as NodeId[];
const QUORUM = 2;
const SLOT = { members: MEMBERS, quorum: QUORUM, stamp: [1, 1] as Version };

const at = (n: number, value: string | null): ReadResult => ({ status: "ok", version: [1, n], value });

function* given<Result>(result: Result): Script<Result> {
  const done = new Future<void>();
  done.resolve();
  yield* wait(done);
  return result;
}

/** Three replicas of one key. Each reading hears some of them: the first those named first, and so on. */
class Replicas {
  readonly held: ReadResult[];
  readonly readCache = new ReadCache(1_000_000);
  /** Times that replicas were read. */
  reads = 0;
  readonly #heard: number[][];
  #issued = 10;

  constructor(held: readonly ReadResult[], ...heard: number[][]) {
    this.held = [...held];
    this.#heard = heard;
  }

  /** How many replicas hold what the highest of them holds. */
  get holders(): number {
    const versions = this.held.map(({ version }) => version[1]);
    return versions.filter((version) => version === Math.max(...versions)).length;
  }

  write(change: Partial<WriteOperation>): WriteOutcome | undefined {
    const operation = { type: "write", key: "k", slot: 1, level: "quorum", value: null, operation: "op", ...change };
    let outcome: WriteOutcome | undefined;
    run(carefulWrite(this.#services(), this.#io(), operation as WriteOperation)).whenDone((ended) => (outcome = ended));
    return outcome;
  }

  #services(): SequencerServices {
    const context = {
      without: new Set(),
      slot: () => SLOT,
      nextVersion: (): Version => [3, this.#issued++],
    };
    const { readCache } = this;
    return { context, readCache, fixes: 0 } as unknown as SequencerServices;
  }

  #io(): RegisterIo {
    const { held } = this;
    const heard = (): readonly number[] => (this.#heard.length > 1 ? this.#heard.shift() : this.#heard[0]) ?? [];
    const io = {
      interrupted: false,
      quorum: QUORUM,
      settle: () => given(true),
      read: () => {
        this.reads++;
        return given({ answers: heard().map((index) => held[index]), replicas: MEMBERS.length, quorum: QUORUM });
      },
      drive: ({ op: _op, slot: _slot, stamp: _stamp, key: _key, ...record }: Issued) => {
        const answering = heard();
        for (const index of answering) held[index] = { status: "ok", ...record };
        const oks = answering.length;
        return given({ oks, quorum: QUORUM, installed: oks >= QUORUM, complete: oks === 3, size: MEMBERS.length });
      },
    };
    return io as unknown as RegisterIo;
  }
}

test("C7: a delete says that nothing is there only when a write quorum holds that (seeds 430361, 441090)", () => {
  const replicas = new Replicas([at(1, "v1"), at(2, null), at(1, "v1")], [0, 1]);
  expect(replicas.write({ wantsFound: true })).toMatchObject({ type: "error", error: { code: "NOT_FOUND" } });
  expect(replicas.holders).toBe(2);
  expect(replicas.held[0]).toMatchObject({ value: null, origin: [1, 2] });
});

test("C7: a delete that finds the key absent everywhere mends nothing", () => {
  const replicas = new Replicas([at(2, null), at(2, null), at(1, "v1")], [0, 1]);
  expect(replicas.write({ wantsFound: true })).toMatchObject({ type: "error", error: { code: "NOT_FOUND" } });
  expect(replicas.held[0]).toEqual(at(2, null));
});

test("C7: a delete of what one replica alone holds takes effect, and says that it found something", () => {
  const replicas = new Replicas([at(1, null), at(2, "v2"), at(1, null)], [0, 1]);
  expect(replicas.write({ wantsFound: true })).toMatchObject({ type: "written", found: true });
  expect(replicas.held[0]).toMatchObject({ value: null, operation: "op" });
});

test("C8: a first attempt that shows only after a quorum was heard without it is the outcome (seed 431121)", () => {
  const mine: ReadResult = { status: "ok", version: [2, 1], value: "mine", operation: "op" };
  const replicas = new Replicas([mine, at(1, null), at(1, null)], [1, 2], [0, 1]);
  const retried = replicas.write({ value: "mine", condition: "absent", firstEpoch: 2 });
  expect(retried).toEqual({ type: "written", version: [2, 1] });
  expect(replicas.holders).toBe(2);
});

test("C8: what a retry's refusal says had no effect can have none later, whoever holds it", () => {
  const mine: ReadResult = { status: "ok", version: [2, 1], value: "mine", operation: "op" };
  const replicas = new Replicas([mine, at(1, "theirs"), at(1, "theirs")], [1, 2]);
  const refused = replicas.write({ value: "mine", condition: "absent", firstEpoch: 2 });
  expect(refused).toMatchObject({ type: "error", error: { code: "CONDITION_FAILED", details: { version: "1.1" } } });
  for (const { version, origin, value } of replicas.held.slice(1)) {
    expect(compare(version, mine.version)).toBeGreaterThan(0);
    expect({ origin, value }).toEqual({ origin: [1, 1], value: "theirs" });
  }
});

test("C7: a condition is refused only when a write quorum holds what refuses it", () => {
  const replicas = new Replicas([at(1, "v1"), at(2, "v2"), at(1, "v1")], [0, 1]);
  const refused = replicas.write({ condition: [1, 1], value: "new" });
  expect(refused).toMatchObject({ type: "error", error: { code: "CONDITION_FAILED", details: { version: "1.2" } } });
  expect(replicas.holders).toBe(2);
});

test("C7: where what the leader knows meets the condition nobody is asked; what it refuses is asked for, and a retry is", () => {
  const all = [0, 1, 2];
  const known = (value: string | null): Replicas => {
    const replicas = new Replicas([at(5, value), at(5, value), at(5, value)], all);
    for (const _time of [1, 2]) replicas.readCache.found("k", at(5, value), SLOT); // one that is read again is kept
    return replicas;
  };
  const written = { type: "written", version: [3, 10] };
  const met = known("v5");
  expect([met.write({ condition: [1, 5], value: "v6" }), met.reads]).toMatchObject([written, 0]);
  const absent = known(null);
  expect([absent.write({ condition: "absent", value: "v6" }), absent.reads]).toMatchObject([written, 0]);
  const deleted = known("v5");
  expect([deleted.write({ wantsFound: true }), deleted.reads]).toMatchObject([{ ...written, found: true }, 0]);
  const refused = known("v5");
  const refusal = { type: "error", error: { code: "CONDITION_FAILED" } };
  expect(refused.write({ condition: [1, 4], value: "v6" })).toMatchObject(refusal);
  expect(refused.reads).toBeGreaterThan(0);
  const retried = known("v5");
  expect(retried.write({ condition: [1, 5], value: "v6", firstEpoch: 3 })).toMatchObject(written);
  expect(retried.reads).toBeGreaterThan(0);
});

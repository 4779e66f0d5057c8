// Copies: takes versions that a write quorum holds to the members that lack them, as they are (C9): no version of its own, no lock, since
// such a version can only be overtaken. Many keys at a time: all are read, each at one of its holders, then all are written; lines for
// a whole group, and a few objects a key.
import type { NodeId } from "../../shared/ids.ts";
import type { DataOp, OpResult, ReadResult, Refusal } from "../../shared/protocol/node-messages.ts";
import { Future, wait, type Script } from "../../shared/script.ts";
import { compare, equal, type Version } from "../../shared/version.ts";
import { failure } from "../links/link.ts";
import { heedFence } from "../sequencer/context.ts";
import { issuedIn } from "../sequencer/drive.ts";
import { unchanged, type Compared, type RepairContext } from "./compare.ts";

/** For all answers of a group, to what is read and then to what is written. */
const ANSWERS_TIMEOUT_MS = 2_000;

const NO_ANSWER: Refusal = failure("LOST", "no answer");

/** A version of a key, on its way from a member to others. */
export interface Copy {
  readonly compared: Compared;
  readonly key: string;
  readonly version: Version;
  readonly holder: NodeId;
  readonly lacking: readonly NodeId[];
}

/** One operation at one node. */
interface Ask {
  readonly node: NodeId;
  readonly op: DataOp;
}

/** @returns those that are in order now: copied, or overtaken */
export function* copyAll(context: RepairContext, copies: readonly Copy[]): Script<Set<Copy>> {
  const reads = yield* askAll(context, copies.map(readOf));
  const inOrder = new Set<Copy>();
  const written: Copy[] = [];
  const writes: Ask[] = [];
  for (const [place, copy] of copies.entries()) {
    const read = reads[place] as OpResult;
    if (read.status === "error") continue;
    const { version } = read as ReadResult;
    // Overtaken meanwhile: that write goes to every member by itself, and is remembered where it does not arrive.
    if (compare(version, copy.version) > 0) inOrder.add(copy);
    // Nothing may be sent at the stamp of a seal (M2), nor at that of another membership.
    if (!equal(version, copy.version) || !unchanged(copy.compared)) continue;
    inOrder.add(copy);
    const op = writeOf(copy, read as ReadResult);
    for (const node of copy.lacking) {
      written.push(copy);
      writes.push({ node, op });
    }
  }
  const results = yield* askAll(context, writes);
  for (const [place, result] of results.entries()) {
    if (result.status === "error" && result.code !== "SUPERSEDED") inOrder.delete(written[place] as Copy);
  }
  return inOrder;
}

function readOf({ compared, key, holder }: Copy): Ask {
  const { runtime, stamp } = compared;
  return { node: holder, op: { op: "read", slot: runtime.slot, stamp, key } };
}

/** The same for every member that lacks it: its text is made once. */
function writeOf({ compared, key }: Copy, { version, origin, value, operation }: ReadResult): DataOp {
  return issuedIn(compared.runtime, version, { key, value, operation: operation ?? "", origin });
}

/** All answers, in order; who does not answer in time is LOST. */
function* askAll(context: RepairContext, asks: readonly Ask[]): Script<readonly OpResult[]> {
  if (asks.length === 0) return [];
  const answers = new Answers(asks.length);
  const timer = context.timers.after(ANSWERS_TIMEOUT_MS, () => answers.complete.resolve());
  for (const [place, { node, op }] of asks.entries()) {
    const settled = (_node: NodeId, result: OpResult): void => {
      heedFence(context.writing, result);
      answers.take(place, result);
    };
    context.writing.send(node, op, { settled });
  }
  yield* wait(answers.complete);
  timer.cancel();
  return answers.results;
}

class Answers {
  readonly results: OpResult[];
  readonly complete = new Future<void>();
  #missing: number;

  constructor(count: number) {
    this.results = Array.from({ length: count }, () => NO_ANSWER);
    this.#missing = count;
  }

  take(place: number, result: OpResult): void {
    this.results[place] = result;
    if (--this.#missing === 0) this.complete.resolve();
  }
}

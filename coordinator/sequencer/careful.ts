// Careful operations: what needs more than one round trip, under the key's lock. FIX mends replicas that disagree by writing the
// highest value again under a fresh version (C6). A conditional write reads, compares and writes (C7); where its condition is met by what
// the leader knows to be the newest value (read-cache.ts) it only writes, since whoever leads by now lets no majority take that. A
// retry finds out whether its first attempt happened (C8). All settle what is in doubt first (C5), and all are scripts.
import { KvError } from "../../shared/errors.ts";
import type { ReadResult } from "../../shared/protocol/node-messages.ts";
import { originOf } from "../../shared/record.ts";
import type { Script } from "../../shared/script.ts";
import { equal, format, type Version } from "../../shared/version.ts";
import { issuedIn } from "./drive.ts";
import {
  shortOf,
  tooFewReplicas,
  type ReadOperation,
  type ReadOutcome,
  type WriteOperation,
  type WriteOutcome,
} from "./operation.ts";
import { outcome } from "./quorum-read.ts";
import type { Known } from "./read-cache.ts";
import { agreedAmong, highestOf, type RegisterIo } from "./register-io.ts";
import type { SequencerServices } from "./services.ts";

/** A value that a write quorum is known to hold, or why there is none. */
type Basis =
  | { readonly type: "basis"; readonly found: ReadResult }
  | { readonly type: "error"; readonly error: KvError };

/** C6: reads again, mends if need be, answers. */
export function* fix(sequencer: SequencerServices, io: RegisterIo, operation: ReadOperation): Script<ReadOutcome> {
  const everyone = operation.level === "all";
  const basis = yield* agreedBasis(sequencer, io, operation, { everyone });
  return basis.type === "error" ? basis : outcome(basis.found, false);
}

/** C7, C8: a write that depends on what is there. */
export function* carefulWrite(
  sequencer: SequencerServices,
  io: RegisterIo,
  operation: WriteOperation,
): Script<WriteOutcome> {
  if (!(yield* io.settle())) {
    // On a retry this says nothing of the first attempt.
    return failed(operation.firstEpoch === undefined ? notSettled() : new KvError("TIMEOUT", notSettled().message));
  }
  if (operation.firstEpoch !== undefined) {
    const retried = yield* retry(sequencer, io, operation);
    if (retried) return retried;
  }
  if (operation.condition === undefined && !operation.wantsFound)
    return yield* write(sequencer, io, operation, undefined);
  const known = sequencer.readCache.get(operation.key, sequencer.context.slot(operation.slot));
  if (known && operation.firstEpoch === undefined && meets(sequencer, operation, known))
    return yield* write(sequencer, io, operation, known.value !== null);
  const readings = yield* io.read(io.quorum);
  if (readings.answers.length < readings.quorum || io.interrupted) {
    return failed(tooFewReplicas(readings.answers.length, readings.quorum));
  }
  const seen = highestOf(readings.answers);
  if (meets(sequencer, operation, seen)) return yield* write(sequencer, io, operation, seen.value !== null);
  // The refusal is itself a read, also that nothing is there to be deleted: it needs a quorum that agrees.
  if (sequencer.context.without.has("C7-refusal")) return failed(refusal(operation, seen));
  // That of a retry says that the first attempt had no effect: what one replica may hold of it must never surface again.
  const basis = yield* agreedBasis(sequencer, io, operation, { refreshed: operation.firstEpoch !== undefined });
  if (basis.type === "error") return basis;
  // A first attempt that was nowhere to be seen may have surfaced since, from a replica that nobody had heard.
  const earlier = earlierAttempt(operation, basis.found);
  if (earlier) return earlier;
  if (meets(sequencer, operation, basis.found))
    return yield* write(sequencer, io, operation, basis.found.value !== null);
  return failed(refusal(operation, basis.found));
}

/** C8: what became of the first attempt; undefined when it certainly did not happen and is to be applied now. */
function* retry(
  sequencer: SequencerServices,
  io: RegisterIo,
  operation: WriteOperation,
): Script<WriteOutcome | undefined> {
  const basis = yield* agreedBasis(sequencer, io, operation);
  if (basis.type === "error") {
    return failed(new KvError("TIMEOUT", `the first attempt's outcome could not be found out: ${basis.error.message}`));
  }
  const { found } = basis;
  const origin = originOf(found);
  const earlier = earlierAttempt(operation, found);
  if (earlier) return earlier;
  if (sequencer.context.without.has("C8")) return undefined;
  if (operation.firstEpoch !== undefined && origin[0] < operation.firstEpoch) return undefined;
  const text = `the key was written since (version ${format(origin)}): whether the first attempt came before cannot be told`;
  return failed(new KvError("TIMEOUT", text));
}

/** The outcome of an operation that has written what was found. */
function earlierAttempt({ operation }: WriteOperation, found: ReadResult): WriteOutcome | undefined {
  if (operation === "" || found.operation !== operation) return undefined;
  return { type: "written", version: originOf(found) };
}

interface BasisNeeds {
  /** All replicas have to agree. */
  readonly everyone?: boolean;
  /** Under a version of this epoch, above whatever any replica holds, also where a quorum agrees already. */
  readonly refreshed?: boolean;
}

/** A quorum that agrees on a value, made to agree where it does not (FIX). */
function* agreedBasis(
  sequencer: SequencerServices,
  io: RegisterIo,
  operation: ReadOperation | WriteOperation,
  { everyone = false, refreshed = false }: BasisNeeds = {},
): Script<Basis> {
  if (!(yield* io.settle())) return { type: "error", error: notSettled() };
  const runtime = sequencer.context.slot(operation.slot);
  const size = runtime.members.length;
  const { answers, quorum } = yield* io.read(everyone ? size : io.quorum);
  const needed = everyone ? size : quorum;
  if (answers.length < needed || io.interrupted)
    return { type: "error", error: tooFewReplicas(answers.length, needed) };
  const agreed = refreshed ? undefined : agreedAmong(answers, needed);
  if (agreed) return { type: "basis", found: agreed };
  const best = highestOf(answers);
  if (io.interrupted) return { type: "error", error: tooFewReplicas(0, needed) };
  sequencer.fixes++;
  const version = sequencer.context.nextVersion();
  const origin = originOf(best);
  const content = { key: operation.key, value: best.value, operation: best.operation ?? "", origin };
  const drive = yield* io.drive(issuedIn(runtime, version, content), everyone ? "all" : "quorum");
  const enough = everyone ? drive.complete : drive.installed;
  if (!enough) return { type: "error", error: tooFewReplicas(drive.oks, needed) };
  return { type: "basis", found: { ...best, version, origin } };
}

/** Issues the write under a fresh version. Called only when nothing of the key is in doubt (C5). */
function* write(
  sequencer: SequencerServices,
  io: RegisterIo,
  operation: WriteOperation,
  found: boolean | undefined,
): Script<WriteOutcome> {
  if (io.interrupted) return failed(new KvError("MOVING", "the slot is changing hands; nothing was sent: try again"));
  const version: Version = sequencer.context.nextVersion();
  const { slot, level } = operation;
  const issued = issuedIn(sequencer.context.slot(slot), version, operation);
  const drive = yield* io.drive(issued, level === "all" || operation.report ? "all" : "quorum");
  const needed = level === "all" ? drive.size : drive.quorum;
  if (drive.oks >= needed || (level === "one" && drive.oks > 0)) {
    const replicas = operation.report ? { replicas: drive.reports() } : {};
    return { type: "written", version, ...(found !== undefined && { found }), ...replicas };
  }
  return failed(shortOf(needed, drive));
}

/** Conditions compare origins: a repair changes the version, never what clients see as the version. */
function meets(sequencer: SequencerServices, { condition, wantsFound }: WriteOperation, found: Known): boolean {
  if (condition === undefined) return !wantsFound || found.value !== null;
  if (condition === "absent") return found.value === null;
  const current = sequencer.context.without.has("C7-origin") ? found.version : originOf(found);
  return found.value !== null && equal(current, condition);
}

function refusal({ condition, key }: WriteOperation, found: ReadResult): KvError {
  if (condition === undefined) return new KvError("NOT_FOUND", `no value under "${key}"`);
  const origin = originOf(found);
  const current = found.value === null ? "the key is absent" : `the current version is ${format(origin)}`;
  const wanted = condition === "absent" ? "absent" : `at version ${format(condition)}`;
  const details = found.value === null ? {} : { version: format(origin) };
  return new KvError("CONDITION_FAILED", `"${key}" was to be ${wanted}: ${current}`, details);
}

function notSettled(): KvError {
  return new KvError("NO_QUORUM", "an earlier write of this key is still in doubt; this one had no effect: try again");
}

function failed(error: KvError): { readonly type: "error"; readonly error: KvError } {
  return { type: "error", error };
}

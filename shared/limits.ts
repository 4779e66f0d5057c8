// Every bound of the system, with its unit, in one place; asserted against each other at the end.
import { assert } from "./assert.ts";

/** Pieces of the key space; a property of the data format. */
export let SLOTS = 4096;

/** For the simulator alone: with fewer slots a run is cheaper, and keys share slots more often. To be called before any core is made. */
export function simulateSlots(count: number): void {
  SLOTS = count;
}

export const KEY_BYTES_MAX = 1024;
export const VALUE_BYTES_MAX_DEFAULT = 1024 * 1024;
export const VALUE_BYTES_MAX_CEILING = 4 * 1024 * 1024;

/** Longest NDJSON line for a value limit: base64 grows a value by 4/3; 64 KiB for everything around it. */
export function lineBytesMax(valueBytesMax: number): number {
  return Math.ceil((valueBytesMax * 4) / 3) + 64 * 1024;
}

/** A batch line is cut here: the cost of splitting a line grows with the square of its length. */
export const BATCH_LINE_BYTES = 256 * 1024;
/** Operations in one batch line. */
export const BATCH_OPS_MAX = 4096;

export const DEADLINE_MS_DEFAULT = 2_000;
export const DEADLINE_MS_MAX = 60_000;

/** Operations a coordinator works on at a time, beyond which it queues. */
export const IN_FLIGHT_MAX = 16_384;
/** Operations waiting behind them, beyond which it answers OVERLOADED. */
export const QUEUED_MAX = 16_384;
/** Bytes of values in flight at a coordinator. */
export const IN_FLIGHT_BYTES_MAX = 256 * 1024 * 1024;
/** Writes not yet durable at a node, beyond which it answers OVERLOADED. */
export const NODE_PENDING_WRITES_MAX = 10_000;
export const NODE_PENDING_BYTES_MAX = 64 * 1024 * 1024;
/** Lines of a node that wait for a fence or stamp to be durable. */
export const NODE_PARKED_LINES_MAX = 10_000;

/** C5: beyond either bound the leader wins a new epoch, which empties the map. */
export const IN_DOUBT_MAX = 10_000;
export const IN_DOUBT_BYTES_MAX = 64 * 1024 * 1024;

/** C6: what a leader's cache of values takes at most, by its own estimate. */
export const READ_CACHE_BYTES = 64 * 1024 * 1024;

/** C8: results remembered for retries. */
export const OPERATIONS_REMEMBERED_MAX = 100_000;
export const OPERATIONS_REMEMBERED_MS = 60_000;
export const OPERATION_ID_CHARS_MAX = 64;

/** N2: a jump beyond this is malformed (no poisoning by a stray line). */
export const EPOCH_JUMP_MAX = 2 ** 20;
export const EPOCH_MAX = 2 ** 32 - 1;
export const SEQ_MAX = 2 ** 48 - 1;

/** M: one attempt moves at most this much. */
export const MOVE_KEYS_MAX = 20_000;
export const MOVE_BYTES_MAX = 16 * 1024 * 1024;
/** The first attempt of an operation is small: much runs for the first time then, and it holds its slots for longer than those after it. */
export const FIRST_MOVE_KEYS_MAX = 1_000;
/** M2: the hold ends within this, else the attempt aborts. */
export const HOLD_MS_MAX = 2_000;
/** M2: how long in-doubt keys may take to settle before sealing anyway. */
export const SETTLE_MS_MAX = 200;

/** The leader's heartbeats. */
export const HEARTBEAT_MS = 200;
/** V4: a voter that heard nothing for this long encourages a rival. */
export const LEADER_SILENT_MS = 1_000;
/** V4: or once the leader's connection closed and none was opened again for this long. */
export const LEADER_GONE_MS = 100;
/** C10: without the acknowledgement of a majority of the voters for this long, the leader holds what comes in. */
export const LEASE_MS = 800;
/** A voter whose disk has not finished what it was given for this long acknowledges no heartbeat. */
export const DISK_STALLED_MS = 1_000;

export const VOTERS_MAX = 5;
export const NODES_MAX = 600;
export const REPLICAS_MAX = 16;
export const WEIGHT_MAX = 100;
export const TOPOLOGY_OPERATIONS_MAX = 16;

export const SCAN_LIMIT_DEFAULT = 100;
export const SCAN_LIMIT_MAX = 1_000;
/** Pages of scans that a coordinator makes at a time, beyond which it answers OVERLOADED. */
export const SCANS_MAX = 64;
/** Entries and bytes of one page that a node lists or pulls. */
export const PAGE_KEYS_MAX = 1_000;
export const PAGE_BYTES = 192 * 1024;
/** Entries of a page while clients are served: a node looks at them in one go, and what clients ask waits behind it. */
export const PAGE_KEYS_SERVING = 250;

/** N9: tombstones younger than this stay: longer than any client retries (C8). */
export const COLLECT_AFTER_MS = 600_000;

/** Down for so long, a node is done without where slots cannot be written otherwise: ten seconds after its death, with detection. */
export const AWAY_AFTER_MS = 6_000;
/** `--replace-after`: down for so long, a node's slots go to others. */
export const REPLACE_AFTER_MS = 600_000;

/** N10: a write unsettled for this much of the process's own running time stops the process. */
export const WRITE_STUCK_MS = 10_000;

assert(LEASE_MS < LEADER_SILENT_MS, "a leader holds before its voters encourage a rival");
assert(
  OPERATIONS_REMEMBERED_MS + DEADLINE_MS_MAX < COLLECT_AFTER_MS,
  "a retry comes before what it asks for is forgotten",
);
assert(IN_FLIGHT_MAX < OPERATIONS_REMEMBERED_MAX / 2, "what runs fits into a generation of what is remembered");
assert(PAGE_BYTES < BATCH_LINE_BYTES, "a page fits in a line");
assert(SETTLE_MS_MAX < HOLD_MS_MAX, "settling ends before the hold does");
assert(BATCH_LINE_BYTES <= lineBytesMax(VALUE_BYTES_MAX_DEFAULT), "a batch line is a legal line");
assert(SCAN_LIMIT_MAX <= PAGE_KEYS_MAX, "one page of a node serves one page of a scan");

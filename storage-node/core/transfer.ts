// Transfer: what replicas tell each other and the leader about whole slots. `digest` and `list` show a slot page by page; `pull`
// fetches a page from a member and stores it as copies (M1, M3), so that data flows from node to node and never through the
// coordinator. A page has a bound in entries looked at and in bytes, so that no page holds up the event loop.
import { PAGE_BYTES } from "../../shared/limits.ts";
import type {
  BatchRequest,
  Cursor,
  DigestOp,
  DigestResult,
  ListedRow,
  ListOp,
  ListResult,
  PullOp,
  Refusal,
  WriteOp,
} from "../../shared/protocol/node-messages.ts";
import { compare, equal } from "../../shared/version.ts";
import type { Engine, ListedEntry } from "../engine/engine.ts";
import type { Control } from "./control.ts";
import { notOwner, recordBytes } from "./register.ts";

/** Entries looked at in one go, so that a prefix that matches little does not hold up the event loop. */
const CHUNK = 256;
/** With a prefix, a few entries first: where nothing matches, one is enough to know. */
const CHUNK_FIRST = 16;

export function digest(engine: Engine, control: Control, op: DigestOp): DigestResult | Refusal {
  const refusal = ownsAll(control, op.slots);
  if (refusal) return refusal;
  const slots = op.slots.map((slot) => {
    const { digest: lanes, keys, tombstones, bytes } = engine.summary(slot);
    return [lanes[0], lanes[1], keys, tombstones, bytes] as const;
  });
  return { status: "ok", slots };
}

/** A page of the slots, in the order given, then by key; tombstones included. */
export function list(engine: Engine, control: Control, op: ListOp): ListResult | Refusal {
  const refusal = ownsAll(control, op.slots);
  if (refusal) return refusal;
  const page = new Page(op);
  const start = op.after ? op.slots.indexOf(op.after.slot) : 0;
  if (start < 0) return notOwner(op.after?.slot ?? 0);
  for (const [index, slot] of op.slots.slice(start).entries()) {
    const after = index === 0 ? op.after?.key : undefined;
    if (!listSlot(engine, slot, { after, prefix: op.prefix ?? "" }, page)) break;
  }
  return page.result();
}

/** Lists one slot into the page; false when the page is full. */
function listSlot(
  engine: Engine,
  slot: number,
  range: { readonly after: string | undefined; readonly prefix: string },
  page: Page,
): boolean {
  // Most slots of a small cluster are empty, and a scan looks at all of them: no need to look into the table.
  if (!engine.mayHold(slot)) return true;
  const { prefix } = range;
  let after = range.after;
  let chunk = prefix === "" ? CHUNK : CHUNK_FIRST;
  if (prefix !== "" && after === undefined) {
    const exact = engine.read(slot, prefix);
    const entry = exact && { key: prefix, version: exact.version, tombstone: exact.value === null, record: exact };
    if (entry && !page.add(slot, entry)) return false;
    after = prefix;
  }
  for (;;) {
    const entries = engine.list(slot, after, chunk);
    for (const entry of entries) {
      if (!entry.key.startsWith(prefix)) return true;
      if (!page.add(slot, entry)) return false;
    }
    if (entries.length < chunk) return true;
    chunk = CHUNK;
    after = entries.at(-1)?.key;
  }
}

class Page {
  readonly #op: ListOp;
  readonly #entries: ListedRow[] = [];
  #bytes = 0;
  #looked = 0;
  /** The entry looked at last. */
  #last: Cursor | undefined;
  #next: Cursor | undefined;

  constructor(op: ListOp) {
    this.#op = op;
  }

  /** False when the entry does not fit; the page then ends behind the entry before it. */
  add(slot: number, entry: ListedEntry): boolean {
    const { key, version, tombstone } = entry;
    const { since, limit, values } = this.#op;
    const wanted = since === undefined || compare(version, since) >= 0;
    const record = wanted && values === true ? entry.record : undefined;
    const bytes = record ? recordBytes(key, record) : wanted ? key.length + 32 : 0;
    const full = this.#looked >= limit || (this.#entries.length > 0 && this.#bytes + bytes > PAGE_BYTES);
    if (full) {
      this.#next = this.#last;
      return false;
    }
    this.#looked++;
    this.#last = { slot, key };
    if (!wanted) return true;
    this.#bytes += bytes;
    const flag = tombstone ? 1 : 0;
    this.#entries.push(
      record ? [slot, key, version, flag, record.origin, record.value, record.operation] : [slot, key, version, flag],
    );
    return true;
  }

  result(): ListResult {
    return { status: "ok", entries: this.#entries, ...(this.#next && { next: this.#next }) };
  }
}

function ownsAll(control: Control, slots: readonly number[]): Refusal | undefined {
  const missing = slots.find((slot) => control.slot(slot).role === "none");
  return missing === undefined ? undefined : notOwner(missing);
}

/** Whether the slots are incoming at the pull's stamp: checked when it starts and again when the page has come. */
export function pullable(control: Control, op: PullOp): Refusal | undefined {
  const missing = op.slots.find((slot) => {
    const { role, since } = control.slot(slot);
    return role !== "incoming" || !equal(since, op.stamp);
  });
  return missing === undefined ? undefined : notOwner(missing);
}

/** What the puller asks the source. */
export function pullRequest(line: BatchRequest, op: PullOp): Omit<BatchRequest, "id" | "form"> {
  return {
    op: "batch",
    cluster: line.cluster,
    node: op.source.id,
    incarnation: op.source.incarnation,
    group: 0,
    epoch: line.epoch,
    ops: [
      {
        op: "list",
        slots: op.slots,
        stamps: op.sourceStamps,
        limit: op.limit,
        values: true,
        ...(op.after && { after: op.after }),
      },
    ],
  };
}

/** A fetched row as a copy at the pull's stamp. */
export function copyOf(row: ListedRow, op: PullOp): WriteOp {
  const [slot, key, version, , origin, value, operation] = row;
  return {
    op: "copy",
    slot,
    stamp: op.stamp,
    key,
    version,
    value: value ?? null,
    ...(origin && { origin }),
    ...(operation !== undefined && operation !== "" && { operation }),
  };
}

// Direct reads: level one without the coordinator. The ring says which nodes hold a key; the first replica that answers is
// believed, which is all that level one promises. Whatever goes wrong (no ring yet, an old ring, dead nodes) ends in
// "ask the coordinator", and in fetching the ring again, at most once a second.
//
// A link is used only where the node's incarnation is the one in the ring: a port may belong to another cluster by now.
import { KvError } from "../errors.ts";
import type { Credentials } from "../io/credentials.ts";
import { monotonicMs } from "../io/system-clock.ts";
import type { RingAnswer } from "../protocol/client-messages.ts";
import type { ReadResult } from "../protocol/node-messages.ts";
import { originOf } from "../record.ts";
import { slotOf } from "../slot.ts";
import { format, isZero } from "../version.ts";
import { Entry } from "./entry.ts";
import type { Member } from "./node-links.ts";
import { NodeLinks } from "./node-links.ts";
import type { Session } from "./session.ts";
import type { Patience } from "./waiting.ts";
import { leftMs } from "./waiting.ts";

const REFRESH_INTERVAL_MS = 1_000;
/** One replica gets this much of a read's time before the next is asked. */
const REPLICA_TIMEOUT_MS = 250;

export class DirectReads {
  readonly #leader: () => Session | null;
  readonly #links: NodeLinks;
  #ring: RingAnswer | null = null;
  #fetching: Promise<void> | null = null;
  #fetchedAtMs = Number.NEGATIVE_INFINITY;

  /**
   * @param leader The session with the leader, for the ring; null where there is none at the moment.
   * @param credentials Shown to the nodes.
   */
  constructor(leader: () => Session | null, credentials: Credentials = {}) {
    this.#links = new NodeLinks(credentials);
    this.#leader = leader;
  }

  /** The entry, null where the key is absent, or undefined: ask the coordinator. Never rejects. */
  async read(key: string, patience: Patience): Promise<Entry | null | undefined> {
    if (this.#ring === null) await this.#refresh();
    const ring = this.#ring;
    if (ring === null) return undefined;
    for (const index of ring.slots[slotOf(key, ring.seed)] ?? []) {
      const member = ring.members[index];
      if (member === undefined || leftMs(patience) < 1 || patience.signal?.aborted) break;
      const answer = await this.#ask(member, key, patience);
      if (answer !== undefined) return answer;
    }
    void this.#refresh(); // for later reads; never rejects
    return undefined;
  }

  /** Fetches the ring again; at most once a second. */
  async #refresh(): Promise<void> {
    this.#fetching ??= this.#fetch().finally(() => (this.#fetching = null));
    await this.#fetching;
  }

  async close(): Promise<void> {
    await this.#fetching;
    await this.#links.close();
  }

  async #fetch(): Promise<void> {
    const leader = this.#leader();
    if (leader === null || monotonicMs() - this.#fetchedAtMs < REFRESH_INTERVAL_MS) return;
    this.#fetchedAtMs = monotonicMs();
    try {
      this.#ring = await leader.call({ op: "ring" });
      this.#links.keepOnly(this.#ring.members);
    } catch {
      // The old ring is kept; reads that it misdirects go to the coordinator.
    }
  }

  async #ask(member: Member, key: string, patience: Patience): Promise<Entry | null | undefined> {
    const timeoutMs = Math.max(1, Math.min(REPLICA_TIMEOUT_MS, leftMs(patience)));
    try {
      const session = await this.#links.session(member);
      const result = await session.call({ op: "read", key }, undefined, { timeoutMs, signal: patience.signal });
      return entryOf(key, result);
    } catch (error) {
      const code = error instanceof KvError ? error.code : undefined;
      if (code === "NOT_OWNER") void this.#refresh(); // for later reads; never rejects
      const silent = code === "TIMEOUT" && !patience.signal?.aborted;
      if (silent && timeoutMs === REPLICA_TIMEOUT_MS) this.#links.avoid(member);
      return undefined; // the next replica, or the coordinator, answers in its place
    }
  }
}

function entryOf(key: string, found: ReadResult): Entry | null {
  const { value, version } = found;
  if (value === null || isZero(version)) return null;
  return new Entry({ key, value, version: format(originOf(found)), stale: true });
}

// Leader finder: keeps one session with the coordinator that leads, and finds the next one when it is gone.
//
// It knows the addresses it was given and learns more (hello, NOT_LEADER answers, and the standbys and voters that a leader's
// `status` names). A round asks them, a few at a time; whoever names a leader moves that address to the front; storage nodes
// only name one. A coordinator that claims to lead in an older epoch than another one has named is not believed, and one
// of another cluster is never used. Rounds repeat, with full jitter, as long as somebody waits.
//
// A leader that stops answering keeps its connection open: silence.ts notices, `doubt` finds out.
import { KvError } from "../errors.ts";
import type { Credentials } from "../io/credentials.ts";
import { monotonicMs } from "../io/system-clock.ts";
import { backoffMs } from "./retry.ts";
import type { Session } from "./session.ts";
import { openSession } from "./session.ts";
import { Silence } from "./silence.ts";
import type { Patience, WaitEnd } from "./waiting.ts";
import { waitFor } from "./waiting.ts";

/** Addresses asked at one time: one that does not answer must not hold up the others. */
const DIALS_MAX = 3;
const DIAL_TIMEOUT_MS = 1_000;
const LEARNED_MAX = 32;
const DOUBT_INTERVAL_MS = 1_000;

interface Probe {
  /** A session with a coordinator that claims to lead. */
  readonly session?: Session;
  /** Whom it says to ask. */
  readonly hint?: string | undefined;
  /** Why it is not the one. */
  readonly why?: string;
}

export class LeaderFinder {
  readonly #seeds: readonly string[];
  readonly #random: () => number;
  /** Shown to everybody who is asked. */
  readonly credentials: Credentials;
  /** Most recently named first. */
  #learned: string[] = [];
  #session: Session | null = null;
  #cluster: string | null = null;
  /** Highest epoch a coordinator has named. */
  #epochSeen = 0;
  readonly #waiters = new Set<() => void>();
  #searching = false;
  /** Why the last round found nobody, by address. */
  #reasons = new Map<string, string>();
  #doubtedAtMs = Number.NEGATIVE_INFINITY;
  /** Sessions no longer used, until what was sent by them is settled. */
  readonly #retiring = new Set<Session>();
  readonly #silence: Silence;
  #closed = false;

  /** @param seeds At least one `host:port`. */
  constructor(seeds: readonly string[], random: () => number, credentials: Credentials = {}) {
    this.credentials = credentials;
    this.#seeds = seeds;
    this.#random = random;
    this.#silence = new Silence(
      () => this.session,
      (session) => this.doubt(session),
    );
  }

  /** The session with the leader; null while there is none that is believed to lead. */
  get session(): Session | null {
    return this.#session?.open ? this.#session : null;
  }

  /** Waits for a leader. `done`: `session` has one, or had for a moment. */
  async wait(patience: Patience): Promise<WaitEnd> {
    if (this.session !== null) return "done";
    return await waitFor(patience, (done) => {
      this.#waiters.add(done);
      void this.#search(); // ends by itself when nobody waits; never rejects
      return () => this.#waiters.delete(done);
    });
  }

  /** What to tell somebody who found no leader. */
  noLeader(waited: string): KvError {
    const reasons = [...this.#reasons].map(([address, why]) => `${address}: ${why}`).join("; ");
    return new KvError("NO_LEADER", `no coordinator leads (${waited}); nothing was sent. ${reasons}`.trim());
  }

  /** It said that it does not lead. @param hint The leader's address where it named one. */
  reject(session: Session, hint: unknown): void {
    if (typeof hint === "string") this.learn(hint);
    if (this.#session !== session) return;
    this.#session = null;
    this.#retire(session);
  }

  /** Remembers an address that may lead to the leader. */
  learn(address: string): void {
    this.#learned = [address, ...this.#learned.filter((known) => known !== address)].slice(0, LEARNED_MAX);
  }

  /** There is no answer: see whether the other end lives, and whether somebody else leads by now: what is open there is lost then. */
  doubt(session: Session): void {
    const nowMs = monotonicMs();
    if (this.#session !== session || this.#closed || nowMs - this.#doubtedAtMs < DOUBT_INTERVAL_MS) return;
    this.#doubtedAtMs = nowMs;
    session.call({ op: "ping" }, undefined, { timeoutMs: DIAL_TIMEOUT_MS }).catch((error: unknown) => {
      if (error instanceof KvError && error.code === "TIMEOUT") session.abandon("it does not answer");
    });
    void this.#round({ newerThan: session.epoch }).then((found) => {
      if (found === null) return;
      this.#adopt(found);
      if (this.#session === found) session.abandon(`${found.address} leads by now`);
    });
  }

  /** Stops searching and closes all sessions. Operations must be settled before. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#silence.stop();
    for (const done of this.#waiters) done();
    const sessions = [...this.#retiring, ...(this.#session === null ? [] : [this.#session])];
    this.#session = null;
    await Promise.all(sessions.map((session) => session.close()));
  }

  async #search(): Promise<void> {
    if (this.#searching) return;
    this.#searching = true;
    for (let round = 1; this.#waiters.size > 0 && this.session === null && !this.#closed; round++) {
      const found = await this.#round({ newerThan: -1 });
      if (found !== null) this.#adopt(found);
      else await new Promise((resolve) => setTimeout(resolve, backoffMs(round, this.#random())).unref());
    }
    this.#searching = false;
    for (const done of this.#waiters) done();
  }

  #adopt(session: Session): void {
    if (this.#closed || (this.session !== null && this.session.epoch >= session.epoch)) return this.#retire(session);
    if (this.#session !== null) this.#retire(this.#session);
    this.#session = session;
    this.#cluster = session.hello.cluster ?? this.#cluster;
    for (const address of session.hello.others ?? []) if (!this.#seeds.includes(address)) this.learn(address);
    this.learn(session.address);
    for (const done of this.#waiters) done();
  }

  /**
   * Asks every known address once. Resolves with the first session that leads in an epoch above that one; without any, with
   * a coordinator whose cluster has no node yet; else with null.
   */
  #round({ newerThan }: { newerThan: number }): Promise<Session | null> {
    const queue = [...this.#learned, ...this.#seeds];
    const asked = new Set<string>();
    // What the last round heard stands until this one has asked again: a caller's time may end in between.
    this.#reasons = new Map([...this.#reasons].filter(([address]) => queue.includes(address)));
    return new Promise((resolve) => {
      let running = 0;
      let found: Session | null = null;
      let fallback: Session | null = null;
      const take = (session: Session): void => {
        if (found !== null || session.epoch <= newerThan) this.#retire(session);
        else if (session.hello.role === "leader") resolve((found = session));
        else if (fallback === null) fallback = session;
        else this.#retire(session);
      };
      const proceed = (): void => {
        while (found === null && running < DIALS_MAX && queue.length > 0) {
          const address = queue.shift() as string;
          if (asked.has(address)) continue;
          asked.add(address);
          running++;
          // Never rejects.
          void this.#probe(address).then(({ session, hint, why }) => {
            running--;
            if (why !== undefined) this.#reasons.set(address, why);
            if (hint !== undefined) queue.unshift(hint);
            if (session !== undefined) take(session);
            proceed();
          });
        }
        if (running > 0) return;
        if (found !== null && fallback !== null) this.#retire(fallback);
        resolve(found ?? fallback);
      };
      proceed();
    });
  }

  async #probe(address: string): Promise<Probe> {
    try {
      const session = await openSession(address, { timeoutMs: DIAL_TIMEOUT_MS, credentials: this.credentials });
      const { role, epoch, cluster, leader } = session.hello;
      const foreign = cluster !== null && this.#cluster !== null && cluster !== this.#cluster;
      if (!foreign && !session.isNode) this.#epochSeen = Math.max(this.#epochSeen, epoch);
      const leads = role === "leader" ? epoch >= this.#epochSeen : role === "new" && this.#cluster === null;
      if (leads && !foreign) return { session };
      this.#retire(session);
      if (foreign) return { why: "it belongs to another cluster" };
      return {
        hint: leader,
        why: role === "leader" ? "its leadership is over" : `${session.isNode ? "a node" : role}`,
      };
    } catch (error) {
      return { why: error instanceof Error ? error.message : String(error) };
    }
  }

  #retire(session: Session): void {
    this.#retiring.add(session);
    void session // never rejects
      .drain()
      .then(() => session.close())
      .finally(() => this.#retiring.delete(session));
  }
}

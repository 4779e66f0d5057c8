// An etcd in the simulator: keys with revisions, transactions, leases on the virtual clock. Calls and answers take time and get lost, a call
// may be carried out twice (its sender tried two members), and all of etcd may be gone for a while. What is kept survives that.
import type { EtcdAnswer, EtcdRequest, Entry } from "../../coordinator/election/etcd-calls.ts";
import type { Timers } from "../../shared/timers.ts";
import type { Process } from "./process.ts";
import { between, chance, type Random } from "./random.ts";

/** Within this time a call is answered, or is not. */
const SILENCE_MS = 1_500;
const DELAY_MS_MAX = 4;

interface Lease {
  readonly seconds: number;
  endsAt: number;
}

export class SimulatedEtcd {
  readonly #timers: Timers;
  readonly #random: Random;
  readonly #entries = new Map<string, Entry & { readonly lease: string | undefined }>();
  readonly #leases = new Map<string, Lease>();
  #revision = 1;
  #leaseCount = 0;
  #gone = false;
  #storm = false;
  /** Chance that a call, or its answer, is lost, or that it is carried out twice. */
  loss = 0;

  constructor(timers: Timers, random: Random) {
    this.#timers = timers;
    this.#random = random;
  }

  /** No member answers. Leases stand still meanwhile: a new leader of etcd gives each its whole time again. */
  get gone(): boolean {
    return this.#gone;
  }

  set gone(gone: boolean) {
    this.#gone = gone;
    for (const lease of this.#leases.values()) lease.endsAt = this.#timers.now + lease.seconds * 1_000;
  }

  /** As if it had been emptied. */
  forget(): void {
    this.#entries.clear();
  }

  /** Outages and losses, until it is told to end. */
  storm(on: boolean): void {
    this.#storm = on;
    this.gone = false;
    this.loss = on && chance(this.#random, 0.5) ? 0.1 : 0;
    if (on) this.#outageLater();
  }

  #outageLater(): void {
    this.#timers.after(between(this.#random, 300, 6_000), () => {
      if (!this.#storm) return;
      this.gone = !this.#gone;
      this.#outageLater();
    });
  }

  /** Answers in any case, in the caller's process if that still lives. */
  call(process: Process, request: EtcdRequest, answered: (answer: EtcdAnswer) => void): void {
    const done = (afterMs: number, answer: EtcdAnswer): void => process.after(afterMs, () => answered(answer));
    const lost = chance(this.#random, this.loss);
    if (chance(this.#random, this.loss))
      this.#timers.after(between(this.#random, 1, SILENCE_MS), () => this.#reach(request));
    if (lost) return done(SILENCE_MS, { type: "silent", message: "lost" });
    this.#timers.after(this.#random() * DELAY_MS_MAX, () => {
      const answer = this.#reach(request);
      const forgotten = chance(this.#random, this.loss);
      if (answer && !forgotten) done(this.#random() * DELAY_MS_MAX, answer);
      else done(SILENCE_MS, { type: "silent", message: "no member answers" });
    });
  }

  #reach(request: EtcdRequest): EtcdAnswer | undefined {
    if (this.#gone) return undefined;
    this.#expire();
    return this.#carryOut(request);
  }

  #carryOut(request: EtcdRequest): EtcdAnswer {
    switch (request.op) {
      case "read":
        return this.#read(request.keys);
      case "change":
        return this.#change(request);
      case "grant": {
        const lease = String(++this.#leaseCount);
        this.#leases.set(lease, { seconds: request.seconds, endsAt: this.#timers.now + request.seconds * 1_000 });
        return { type: "lease", lease };
      }
      case "keepAlive": {
        const known = this.#leases.get(request.lease);
        if (!known) return { type: "leaseOver" };
        known.endsAt = this.#timers.now + known.seconds * 1_000;
        return { type: "lease", lease: request.lease };
      }
      case "revoke": {
        if (!this.#leases.delete(request.lease)) return { type: "leaseOver" };
        this.#expire();
        return { type: "revoked" };
      }
    }
  }

  #read(keys: readonly string[]): EtcdAnswer {
    return { type: "entries", entries: keys.flatMap((key) => this.#entries.get(key) ?? []) };
  }

  #change({ expected, puts, otherwise }: Extract<EtcdRequest, { op: "change" }>): EtcdAnswer {
    const met = expected.every(({ key, revision }) => (this.#entries.get(key)?.revision ?? 0) === revision);
    if (!met) return this.#read(otherwise);
    if (puts.some(({ lease }) => lease !== undefined && !this.#leases.has(lease))) return { type: "leaseOver" };
    this.#revision++;
    for (const { key, value, lease } of puts) this.#entries.set(key, { key, value, lease, revision: this.#revision });
    return { type: "changed", revision: this.#revision };
  }

  #expire(): void {
    for (const [lease, { endsAt }] of this.#leases) if (endsAt <= this.#timers.now) this.#leases.delete(lease);
    for (const [key, { lease }] of this.#entries)
      if (lease !== undefined && !this.#leases.has(lease)) this.#entries.delete(key);
  }
}

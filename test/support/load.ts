// Load on a cluster of real processes, through the client library as applications use it, and the evidence for a verdict:
// a history of every operation, and a ledger of keys that are written once.
//
// Half of the operations write a fresh key and enter it in the ledger: what was acknowledged must be read back at the end,
// to the letter, which counts losses without a search. The other half reads, writes, deletes and compares a few keys
// at once; a key retires after some operations, so that the checker stays fast.
import { setTimeout as sleep } from "node:timers/promises";
import { connect, KvError, type KvClient } from "../../shared/client/connect.ts";
import { type Answer, HistoryRecorder, type Operation, type OperationHandle } from "../simulation/history.ts";
import { checkHistory } from "../simulation/linearizability.ts";
import { MachineClock } from "./machine-clock.ts";
import { seededRandom } from "./random.ts";

export interface LoadOptions {
  /** Coordinators or nodes to find the cluster by. */
  readonly addresses: readonly string[];
  /** Connected clients. Default 2. */
  readonly clients?: number;
  /** Sequential callers of each client. Default 12. */
  readonly callers?: number;
  /** Pause of a caller between two operations. Default 2. */
  readonly thinkMs?: number;
  /** Deadline of each operation. Default 2 000. */
  readonly timeoutMs?: number;
  /** Keys contended for at a time. Default 16. */
  readonly keys?: number;
  /** Of what is asked: that replays; when it happens does not. */
  readonly seed: number;
}

export interface LoadReport {
  readonly operations: number;
  readonly acknowledged: number;
  /** Writes and reads that may have happened (C8). */
  readonly unknown: number;
  /** Definitely without effect; refused conditions do not count, they are answers. */
  readonly failed: number;
  /** Longest time without any acknowledgement, by the machine's clock. */
  readonly longestGapMs: number;
  /** What the slowest of the acknowledged took, by the machine's clock. */
  readonly slowestMs: number;
  /** How often each code was seen, and its first message. */
  readonly errors: ReadonlyMap<string, { count: number; readonly first: string }>;
}

export interface Verdict {
  /** Acknowledged writes that the cluster does not know any more. */
  readonly lost: readonly string[];
  /** Writes that failed definitely, or were never sent, and yet are there. */
  readonly risen: readonly string[];
  /** Why some key's history has no order; undefined where every key is linearizable. */
  readonly violation: string | undefined;
  readonly keys: number;
  readonly history: readonly Operation[];
}

const OPERATIONS_PER_KEY = 60;
const READ_BACK_AT_A_TIME = 256;
/** A history of two minutes of load. */
const OPERATIONS_MAX = 2_000_000;

interface HotKey {
  readonly name: string;
  uses: number;
  /** A version that some answer has shown, for conditions. */
  version: string | undefined;
}

/** Loads of this process: no two use the same keys. */
let loads = 0;

/** Monotonic nanoseconds since the process began. */
const nowNs = (): number => Math.round(performance.now() * 1e6);

export class Load {
  /** Times are told by it: a machine that stands still keeps nobody waiting. */
  readonly clock: MachineClock;
  readonly recorder = new HistoryRecorder({ now: nowNs, operationsMax: OPERATIONS_MAX });
  readonly #options: LoadOptions;
  readonly #clients: KvClient[] = [];
  readonly #random: () => number;
  readonly #hot: HotKey[] = [];
  readonly #ledger = new Map<string, { readonly value: string; outcome: "ok" | "failed" | "unknown" }>();
  readonly #errors = new Map<string, { count: number; readonly first: string }>();
  readonly #callers: Promise<void>[] = [];
  readonly #name = `load${++loads}`;
  #counter = 0;
  #operations = 0;
  #acknowledged = 0;
  #unknown = 0;
  #failed = 0;
  #acknowledgedAt: number;
  #longestGapMs = 0;
  #latestGapMs = 0;
  #slowestMs = 0;
  #running = true;
  #watchers: { readonly count: number; readonly done: () => void }[] = [];

  private constructor(options: LoadOptions, clock: MachineClock) {
    this.#options = options;
    this.clock = clock;
    this.#acknowledgedAt = clock.now;
    this.#random = seededRandom(options.seed);
    for (let index = 0; index < (options.keys ?? 16); index++) this.#hot.push(this.#freshKey());
  }

  /** Connects and begins. */
  static async start(options: LoadOptions): Promise<Load> {
    const load = new Load(options, await MachineClock.start());
    const { addresses, clients = 2, callers = 12, timeoutMs = 2_000 } = options;
    try {
      for (let client = 0; client < clients; client++) load.#clients.push(await connect(addresses, { timeoutMs }));
    } catch (error) {
      await load.close();
      throw error;
    }
    load.#acknowledgedAt = load.clock.now;
    load.#clients.forEach((client, index) => {
      for (let caller = 0; caller < callers; caller++)
        load.#callers.push(load.#calls(client, index * callers + caller));
    });
    return load;
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Resolves when so many more operations are acknowledged: a time measured in work, not by a clock. */
  async progress(count: number): Promise<void> {
    await new Promise<void>((done) => this.#watchers.push({ count: this.#acknowledged + count, done }));
  }

  /** The longest time without an acknowledgement since this was asked last, in ms by the machine's clock. */
  gapMs(): number {
    this.#gap();
    const gapMs = this.#latestGapMs;
    this.#latestGapMs = 0;
    return Math.round(gapMs);
  }

  /** Ends the load, once what is under way is settled. */
  async stop(): Promise<LoadReport> {
    this.#running = false;
    await Promise.all(this.#callers);
    this.#gap();
    return {
      operations: this.#operations,
      acknowledged: this.#acknowledged,
      unknown: this.#unknown,
      failed: this.#failed,
      longestGapMs: Math.round(this.#longestGapMs),
      slowestMs: Math.round(this.#slowestMs),
      errors: this.#errors,
    };
  }

  /** Reads back every key, judges ledger and history, and closes the clients. After `stop`. */
  async verdict(): Promise<Verdict> {
    const names = [...new Set(this.recorder.operations().map(({ key }) => key))];
    const client = this.#clients[0] as KvClient;
    const found = new Map<string, string | null>();
    for (let from = 0; from < names.length; from += READ_BACK_AT_A_TIME) {
      const page = names.slice(from, from + READ_BACK_AT_A_TIME);
      await Promise.all(page.map(async (key) => found.set(key, await this.#readBack(client, key))));
    }
    await this.close();
    const history = this.recorder.operations();
    const checked = checkHistory(history);
    const judged = [...this.#ledger].map(([key, entry]) => ({ key, ...entry, read: found.get(key) }));
    return {
      lost: judged.filter(({ outcome, value, read }) => outcome === "ok" && read !== value).map(({ key }) => key),
      risen: judged.filter(({ outcome, read }) => outcome === "failed" && read !== null).map(({ key }) => key),
      violation: checked.ok ? undefined : checked.undecided ? `key ${checked.key}: undecided` : checked.explanation,
      keys: names.length,
      history,
    };
  }

  async close(): Promise<void> {
    this.#running = false;
    await Promise.all([...this.#clients.map((client) => client.close()), this.clock.stop()]);
  }

  async #readBack(client: KvClient, key: string): Promise<string | null> {
    const handle = this.recorder.invoke({ client: this.#callers.length, op: "get", key });
    const entry = await client.get(key, { timeoutMs: 10_000 });
    handle.ok({ result: entry === null ? { value: null } : { value: entry.text(), version: entry.version } });
    return entry === null ? null : entry.text();
  }

  /** One sequential caller. */
  async #calls(client: KvClient, caller: number): Promise<void> {
    const { thinkMs = 2 } = this.#options;
    while (this.#running) {
      this.#operations++;
      if (this.#random() < 0.5) await this.#enter(client, caller);
      else await this.#contend(client, caller);
      if (thinkMs > 0) await sleep(thinkMs);
    }
  }

  /** A key of its own, written once. */
  async #enter(client: KvClient, caller: number): Promise<void> {
    const key = `${this.#name}:ledger:${++this.#counter}`;
    const value = `entry ${this.#counter} of ${caller}`;
    const entry: { value: string; outcome: "ok" | "failed" | "unknown" } = { value, outcome: "unknown" };
    this.#ledger.set(key, entry);
    const handle = this.recorder.invoke({ client: caller, op: "put", key, value });
    entry.outcome = await this.#settle(handle, async () => {
      const { version } = await client.put(key, value);
      return { result: { value, version } };
    });
  }

  /** Something on a key that others use as well. */
  async #contend(client: KvClient, caller: number): Promise<void> {
    const hot = this.#pick();
    const { name: key, version } = hot;
    const dice = this.#random();
    const value = `value ${++this.#counter}`;
    const write = (op: "put" | "create" | "cas"): Promise<unknown> => {
      const expected = op === "cas" && version !== undefined ? { expected: version } : {};
      const handle = this.recorder.invoke({ client: caller, op, key, value, ...expected });
      return this.#settle(handle, async () => {
        const condition =
          op === "create" ? { ifAbsent: true } : expected.expected ? { ifVersion: expected.expected } : {};
        const written = await client.put(key, value, condition);
        hot.version = written.version;
        return { result: { value, version: written.version } };
      });
    };
    if (dice < 0.4)
      await this.#settle(this.recorder.invoke({ client: caller, op: "get", key }), () => read(client, hot));
    else if (dice < 0.65) await write("put");
    else if (dice < 0.75) await write("create");
    else if (dice < 0.88 && version !== undefined) await write("cas");
    else {
      const handle = this.recorder.invoke({ client: caller, op: "delete", key });
      await this.#settle(handle, async () => {
        const { found } = await client.delete(key);
        return found === undefined ? {} : { found };
      });
    }
  }

  /** Carries an operation out and enters what became of it. */
  async #settle(handle: OperationHandle, carryOut: () => Promise<Answer>): Promise<"ok" | "failed" | "unknown"> {
    const begunAt = this.clock.now;
    try {
      handle.ok(await carryOut());
      this.#happened(begunAt);
      return "ok";
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      if (error.code === "CONDITION_FAILED") {
        handle.failed({ conditionMet: false });
        this.#happened(begunAt);
        return "failed";
      }
      this.#count(error);
      if (error.outcome === "unknown") {
        handle.unknown();
        this.#unknown++;
        return "unknown";
      }
      handle.failed();
      this.#failed++;
      return "failed";
    }
  }

  #count({ code, message }: KvError): void {
    const seen = this.#errors.get(code);
    if (seen === undefined) this.#errors.set(code, { count: 1, first: message });
    else seen.count++;
  }

  #happened(begunAt: number): void {
    this.#acknowledged++;
    this.#gap();
    this.#acknowledgedAt = this.clock.now;
    this.#slowestMs = Math.max(this.#slowestMs, this.#acknowledgedAt - begunAt);
    const due = this.#watchers.filter(({ count }) => this.#acknowledged >= count);
    if (due.length === 0) return;
    this.#watchers = this.#watchers.filter((watcher) => !due.includes(watcher));
    for (const { done } of due) done();
  }

  #gap(): void {
    const gapMs = this.clock.now - this.#acknowledgedAt;
    this.#longestGapMs = Math.max(this.#longestGapMs, gapMs);
    this.#latestGapMs = Math.max(this.#latestGapMs, gapMs);
  }

  #pick(): HotKey {
    const index = Math.floor(this.#random() * this.#hot.length);
    const hot = this.#hot[index] as HotKey;
    if (++hot.uses >= OPERATIONS_PER_KEY) this.#hot[index] = this.#freshKey();
    return hot;
  }

  #freshKey(): HotKey {
    return { name: `${this.#name}:hot:${++this.#counter}`, uses: 0, version: undefined };
  }
}

async function read(client: KvClient, hot: HotKey): Promise<Answer> {
  const entry = await client.get(hot.name);
  hot.version = entry?.version;
  return { result: entry === null ? { value: null } : { value: entry.text(), version: entry.version } };
}

// Feed: looks at the cluster for all console pages together, while there are any and this coordinator leads: at the slot table four
// times a second, so that the ring is current within a second; at everything else once a second. Pages get differences of the ring.
// Where this coordinator does not lead (any more), whoever watches is told once and has to look elsewhere: stream.ts.
import type { RingAnswer } from "../../../shared/protocol/client-messages.ts";
import { monotonicMs } from "../../../shared/io/system-clock.ts";
import { openSession } from "../../../shared/client/session.ts";
import type { LatencySeries } from "../../metrics.ts";
import type { Gauges } from "../../views/gauges.ts";
import type { Backend } from "../backend.ts";
import type { Insight } from "../insight.ts";
import { frameText, type Frame, type Sample, type Snapshot } from "./frames.ts";
import { loadBetween } from "./load.ts";

const LOOK_MS = 250;
/** Of so many looks, one is at everything. */
const LOOKS_PER_STATE = 4;
/** Five minutes. */
const SAMPLES_MAX = 300;
const EVENTS_SHOWN = 100;
/** How long another coordinator may take to say where it serves HTTP, and how long that holds. */
const HELLO_MS = 500;
const ADDRESS_HOLDS_MS = 10_000;

/** Who watches. */
export interface Watcher {
  readonly send: (text: string) => void;
  /** This coordinator does not lead any more, or cannot say. */
  readonly ended: () => void;
}

type Counters = { readonly at: number; readonly series: readonly LatencySeries[]; readonly gauges: Gauges | undefined };

export class Feed {
  readonly #backend: Backend;
  readonly #insight: Insight;
  readonly #watchers = new Set<Watcher>();
  readonly #samples: Sample[] = [];
  readonly #addresses = new Map<string, { readonly http: string | undefined; readonly at: number }>();
  #ring: RingAnswer | undefined;
  #state: Snapshot | undefined;
  #counters: Counters | undefined;
  #looks = 0;
  #running = false;

  constructor(backend: Backend, insight: Insight) {
    this.#backend = backend;
    this.#insight = insight;
    insight.events.follow((event) => this.#tell({ event: "events", data: [event] }));
  }

  /** @returns what ends it */
  watch(watcher: Watcher): () => void {
    this.#watchers.add(watcher);
    for (const frame of this.#beginning()) watcher.send(frameText(frame));
    if (!this.#running) void this.#run();
    return () => void this.#watchers.delete(watcher);
  }

  *#beginning(): Generator<Frame> {
    yield { event: "events", data: this.#insight.events.all().slice(-EVENTS_SHOWN) };
    yield { event: "history", data: this.#samples };
    if (this.#ring) yield { event: "ring", data: shownRing(this.#ring) };
    if (this.#state) yield { event: "state", data: this.#state };
  }

  /** Goes on for as long as somebody watches. Never rejects. */
  async #run(): Promise<void> {
    this.#running = true;
    this.#looks = 0;
    while (this.#watchers.size > 0) {
      try {
        await this.#look();
      } catch {
        this.#lost(); // the stream finds out why
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    this.#running = false;
    this.#ring = undefined;
    this.#state = undefined;
    this.#counters = undefined;
  }

  async #look(): Promise<void> {
    const ring = await this.#backend.call<"ring">({ op: "ring" });
    this.#showRing(ring);
    if (this.#looks++ % LOOKS_PER_STATE === 0) await this.#showState();
  }

  #showRing(ring: RingAnswer): void {
    const before = this.#ring;
    this.#ring = ring;
    if (before?.ballot === ring.ballot) return;
    if (before === undefined || idsOf(before) !== idsOf(ring) || before.rf !== ring.rf)
      return this.#tell({ event: "ring", data: shownRing(ring) });
    const moved = ring.slots.flatMap((members, slot) =>
      String(members) === String(before.slots[slot]) ? [] : [[slot, members] as const],
    );
    if (moved.length > 0) this.#tell({ event: "moved", data: moved });
  }

  async #showState(): Promise<void> {
    const [status, metrics] = await Promise.all([
      this.#backend.call<"status">({ op: "status" }),
      this.#backend.call<"metrics">({ op: "metrics" }),
    ]);
    const before = this.#counters;
    const counters = { at: monotonicMs(), series: this.#insight.series(), gauges: this.#insight.gauges() };
    this.#counters = counters;
    const seconds = before ? (counters.at - before.at) / 1_000 : Number.POSITIVE_INFINITY;
    const load = loadBetween(before?.series ?? counters.series, counters.series, seconds);
    const sent = sentBetween(before?.gauges, counters.gauges, seconds);
    const { id: _id, status: _status, nodes, ...shown } = status;
    const { inFlight, queued, shed, inDoubt, fixes, operations: operationMetrics } = metrics;
    const state: Snapshot = {
      at: Date.now(),
      ...shown,
      nodes: nodes.map((node) => ({ ...node, opsPerSecond: sent.get(node.id) ?? 0 })),
      load,
      inFlight,
      queued,
      shed,
      inDoubt,
      fixes,
      operationMetrics,
      coordinators: await this.#coordinators(status.standbys),
    };
    this.#state = state;
    if (before) this.#sampled({ at: state.at, ...load });
    this.#tell({ event: "state", data: state });
  }

  #sampled(sample: Sample): void {
    this.#samples.push(sample);
    if (this.#samples.length > SAMPLES_MAX) this.#samples.shift();
  }

  /** Where this coordinator and its standbys serve HTTP. */
  async #coordinators(standbys: readonly string[]): Promise<string[]> {
    const { http } = await this.#backend.call<"hello">({ op: "hello", versions: [1, 1] });
    const others = await Promise.all(standbys.map((address) => this.#httpOf(address)));
    return [http, ...others].filter((address) => address !== undefined);
  }

  async #httpOf(address: string): Promise<string | undefined> {
    const known = this.#addresses.get(address);
    if (known && monotonicMs() - known.at < ADDRESS_HOLDS_MS) return known.http;
    try {
      const session = await openSession(address, { timeoutMs: HELLO_MS, credentials: this.#insight.credentials });
      const { http } = session.hello;
      this.#addresses.set(address, { http, at: monotonicMs() });
      await session.close();
      return http;
    } catch {
      this.#addresses.set(address, { http: known?.http, at: monotonicMs() }); // it may only be slow
      return known?.http;
    }
  }

  #tell(frame: Frame): void {
    if (this.#watchers.size === 0) return;
    const text = frameText(frame);
    for (const watcher of this.#watchers) watcher.send(text);
  }

  #lost(): void {
    const all = [...this.#watchers];
    this.#watchers.clear();
    for (const watcher of all) watcher.ended();
  }
}

function shownRing({ rf, members, slots }: RingAnswer): Pick<RingAnswer, "rf" | "members" | "slots"> {
  return { rf, members, slots };
}

function idsOf({ members }: RingAnswer): string {
  return members.map(({ id }) => id).join(" ");
}

/** Operations per second sent to each node. */
function sentBetween(before: Gauges | undefined, after: Gauges | undefined, seconds: number): Map<string, number> {
  const old = new Map(before?.nodes.map(({ id, reads, writes }) => [id, reads + writes]));
  return new Map(
    after?.nodes.map(({ id, reads, writes }) => {
      const past = old.get(id);
      return [id, past === undefined ? 0 : Math.max(0, reads + writes - past) / seconds];
    }),
  );
}

// Run: one seed from its first node to its verdict. A cluster is set up in quiet; then clients, topology changes and faults go on side by
// side; then everything is healed, what was begun has to end within a bound, every key is read once more, and the history is judged.
import type { NodeId } from "../../shared/ids.ts";
import { simulateSlots } from "../../shared/limits.ts";
import { Clients } from "./clients.ts";
import { COORDINATORS, Faults } from "./faults.ts";
import { checkHistory } from "./linearizability.ts";
import type { Message } from "./network.ts";
import { between, chance, pick, seeded, type Random } from "./random.ts";
import { isEqual } from "./replicas.ts";
import { anyScenario, CLIENT_LATE_MS_WITH_COLLECTION, type Scenario } from "./scenario.ts";
import { World } from "./world.ts";

export interface RunResult {
  readonly seed: number;
  /** What was violated; undefined where nothing was. */
  readonly violation: string | undefined;
  readonly operations: number;
  readonly acknowledged: number;
  readonly unknown: number;
  readonly messages: number;
  /** Topology changes that ended well. */
  readonly changes: number;
  readonly epochs: number;
}

export interface RunOptions {
  /** What a seed means; any scenario at all unless told otherwise. */
  readonly scenario?: (random: Random) => Scenario;
  /** Rules switched off. */
  readonly without?: ReadonlySet<string>;
  /** Whether the state is kept in an etcd, instead of by voters. */
  readonly etcd?: boolean;
  readonly trace?: (text: string) => void;
}

/** What is not over by then has to end when nothing is disturbed any more. */
const STORM_MS_MAX = 60_000;
const CALM_MS_MAX = 120_000;
const READ_MS_MAX = 20_000;
const EQUAL_MS_MAX = 30_000;
const SPARE_NODES = 2;

/** Runs one seed. A violated assertion of the product is a violation, too. */
export function runSeed(seed: number, options: RunOptions = {}): RunResult {
  const run = new Run(seed, options);
  let violation: string | undefined;
  try {
    violation = run.toTheEnd();
  } catch (error) {
    violation = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  return { seed, violation, ...run.figures() };
}

class Run {
  readonly #world: World;
  readonly #scenario: Scenario;
  readonly #clients: Clients;
  readonly #faults: Faults;
  #changesLeft: number;
  #changing = false;
  #changed = 0;
  readonly #addresses = new Map<string, string>();

  constructor(seed: number, options: RunOptions) {
    this.#scenario = (options.scenario ?? anyScenario)(seeded(seed));
    simulateSlots(this.#scenario.slots);
    const { collectAfterMs, awayAfterMs, replaceAfterMs, readCache, clients } = this.#scenario;
    const collects = collectAfterMs !== undefined;
    const upkeep = {
      ...(collects && { collectAfterMs }),
      ...(awayAfterMs !== undefined && { awayAfterMs }),
      ...(replaceAfterMs !== undefined && { replaceAfterMs }),
    };
    this.#world = new World(seed, { ...options, upkeep, readCache });
    if (collects) this.#world.network.faults.clientLateMsMax = CLIENT_LATE_MS_WITH_COLLECTION;
    this.#clients = new Clients(this.#world, clients);
    this.#faults = new Faults(this.#world, this.#scenario);
    this.#changesLeft = this.#scenario.changes;
    this.#world.trace(JSON.stringify(this.#scenario));
  }

  figures(): Omit<RunResult, "seed" | "violation"> {
    const { acknowledged, unknown, history } = this.#clients;
    const { messages } = this.#world.network;
    const operations = history.operations().length;
    return { operations, acknowledged, unknown, messages, changes: this.#changed, epochs: this.#world.epochs.size };
  }

  /** @returns what was violated */
  toTheEnd(): string | undefined {
    this.#setUp();
    for (const address of COORDINATORS.slice(1, 1 + this.#scenario.standbys)) this.#world.startCoordinator(address);
    this.#faults.begin();
    this.#world.etcd?.storm(true);
    this.#clients.start();
    this.#changeLater();
    const stormEnds = this.#world.timers.now + STORM_MS_MAX;
    const quiet = (): boolean => this.#clients.done && !this.#changing && this.#changesLeft <= 0;
    this.#world.runUntil(() => quiet() || this.#world.timers.now >= stormEnds, STORM_MS_MAX * 2);
    this.#changesLeft = 0;
    this.#faults.end();
    this.#world.etcd?.storm(false);
    this.#calm();
    this.#becomeEqual();
    for (const key of this.#scenario.clients.keys) this.#readAtTheEnd(key);
    if (this.#clients.disorder !== undefined) return this.#clients.disorder;
    const verdict = checkHistory(this.#clients.history.operations(), { stepsMax: 200_000 });
    if (verdict.undecided) return undefined;
    return verdict.ok ? undefined : verdict.explanation;
  }

  #setUp(): void {
    const { nodes, copies } = this.#scenario;
    for (let index = 0; index < nodes + SPARE_NODES; index++) {
      const address = `127.0.0.1:${5001 + index}`;
      this.#addresses.set(String.fromCharCode(65 + index), address);
      this.#world.addNode(address);
    }
    this.#world.startCoordinator();
    if (copies !== 3) {
      this.#must({ op: "addnode", node: "A", address: "127.0.0.1:5001" });
      this.#must({ op: "setreplica", rf: copies });
    }
    for (const [node, address] of [...this.#addresses].slice(copies === 3 ? 0 : 1, nodes))
      this.#must({ op: "addnode", node, address });
  }

  #must(message: Message): void {
    const answer = this.#world.ask(message);
    if (answer["status"] !== "ok") throw new Error(`${String(message["op"])} in quiet: ${JSON.stringify(answer)}`);
  }

  // Topology changes.

  #changeLater(): void {
    if (this.#changesLeft <= 0) return;
    this.#world.timers.after(this.#world.random() * 1_500, () => this.#change());
  }

  #change(): void {
    const leader = this.#world.leader;
    if (this.#changesLeft <= 0) return;
    this.#changesLeft--;
    const message = leader && this.#drawChange();
    if (!message) return this.#changeLater();
    this.#changing = true;
    this.#world.trace(`asked: ${JSON.stringify(message)}`);
    this.#world.request(
      message,
      (answer) => {
        this.#changing = false;
        if (answer["status"] === "ok") this.#changed++;
        this.#world.trace(`answered: ${JSON.stringify(answer)}`);
        this.#changeLater();
      },
      leader.process.name,
    );
    if (chance(this.#world.random, this.#scenario.cancels)) this.#cancelSoon(leader.process.name);
  }

  #drawChange(): Message | undefined {
    const { random } = this.#world;
    const members = this.#members();
    const kind = pick(random, ["addnode", "addnode", "removenode", "setreplica"]);
    if (kind === "setreplica") return { op: "setreplica", rf: between(random, 1, 5) };
    if (kind === "removenode" && members.length > 1) return { op: "removenode", node: pick(random, members) };
    const node = pick(
      random,
      [...this.#addresses.keys()].filter((id) => !members.includes(id)),
    );
    return node === undefined ? undefined : { op: "addnode", node, address: this.#addresses.get(node) };
  }

  /** Members as the disk of the newest voter has them: what an operator would see. */
  #members(): string[] {
    let ids: string[] = [];
    this.#world.request({ op: "ring" }, () => undefined);
    const state = this.#world.leader?.core?.state;
    if (state) ids = state.members.map(({ id }: { id: NodeId }) => id);
    return ids;
  }

  #cancelSoon(address: string): void {
    this.#world.timers.after(this.#world.random() * 400, () => {
      const [operation] = this.#world.leader?.core?.state?.operations ?? [];
      if (operation) this.#world.request({ op: "cancel", operation: operation.id }, () => undefined, address);
    });
  }

  // The end.

  /** Everything lives and is connected: what was begun ends. */
  #calm(): void {
    const world = this.#world;
    world.trace("calm");
    const ended = (): boolean =>
      this.#clients.done && !this.#faults.emptied && world.leader?.core?.state?.operations.length === 0;
    try {
      world.runUntil(ended, CALM_MS_MAX);
    } catch {
      const { leader } = world;
      const open = leader ? world.ask({ op: "ops" }, 1_000, leader.process.name)["operations"] : "nobody leads";
      const { voters, members } = leader?.core?.state ?? {};
      throw new Error(
        `after everything was healed, this did not end: ${JSON.stringify(open)}; clients ${this.#clients.done ? "" : "not "}done; voters ${JSON.stringify(voters)}, members ${JSON.stringify(members)}`,
      );
    }
  }

  /** C9: replicas become equal by themselves. */
  #becomeEqual(): void {
    const world = this.#world;
    try {
      world.runUntil(() => this.#scenario.clients.keys.every((key) => isEqual(world, key)), EQUAL_MS_MAX);
    } catch {
      const different = this.#scenario.clients.keys.filter((key) => !isEqual(world, key));
      throw new Error(`C9: replicas did not become equal: ${different.join(", ")}`);
    }
  }

  /** Once everything is healed, every key can be read, soon. */
  #readAtTheEnd(key: string): void {
    const handle = this.#clients.history.invoke({ client: 0, op: "get", key });
    const until = this.#world.timers.now + READ_MS_MAX;
    for (;;) {
      const address = this.#world.leader?.process.name;
      const answer = this.#world.ask({ op: "get", key }, READ_MS_MAX, address);
      if (answer["status"] === "ok")
        return handle.ok({ result: { value: String(answer["value"]), version: String(answer["version"]) } });
      if (answer["code"] === "NOT_FOUND") return handle.ok({ result: { value: null } });
      if (this.#world.timers.now > until)
        throw new Error(`after everything was healed, get ${key} failed: ${JSON.stringify(answer)}`);
      this.#world.runFor(100);
    }
  }
}

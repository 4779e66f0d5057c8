// `runtime demo`: half a minute that shows it all on a throw-away cluster: writes, a node killed, the leader killed, the standby takes
// over, the node rejoins and catches up, everything is read back, metrics. Every line has a time stamp, and every claim is measured while
// it is made: nothing is played back. Status 0 where nothing was lost, 1 otherwise.
import { setTimeout as sleep } from "node:timers/promises";
import picocolors from "picocolors";
import { openSession, type Session } from "../../shared/client/session.ts";
import { KvError } from "../../shared/errors.ts";
import type { NodeId } from "../../shared/ids.ts";
import type { StatusAnswer } from "../../shared/protocol/client-messages.ts";
import { metricsLines } from "../shell/commands-view.ts";
import type { Style } from "../shell/style.ts";
import { countOf, durationText } from "../shell/text.ts";
import { freePorts } from "../up.ts";
import { DemoCluster, type DemoProcess } from "./demo-cluster.ts";
import { DemoLoad } from "./demo-load.ts";

const NODES = ["A", "B", "C"];
const VICTIM = "B";
/** Beside those of `runtime up`, and below those that the system gives to outgoing connections: a dead node's port stays free. */
const FIRST_PORT = 6001;
/** How long each act goes on, and how often it says how it goes. */
const ACT_MS = 4_000;
const REPORT_MS = 2_000;
const POLL_MS = 20;
/** What takes longer than this is a failure of the demonstration. */
const STEP_MS_MAX = 30_000;
const CALL_TIMEOUT_MS = 10_000;

/** Runs it. @returns the exit status */
export async function demo(): Promise<number> {
  const cluster = new DemoCluster();
  // The exit handler of the cluster ends what runs.
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(signal, () => process.exit(130));
  try {
    return await new Demo(cluster).run();
  } finally {
    cluster.end();
  }
}

class Demo {
  readonly #cluster: DemoCluster;
  readonly #style: Style = picocolors.createColors(process.stdout.isTTY && process.env["NO_COLOR"] === undefined);
  readonly #nodes = new Map<string, DemoProcess>();
  #leader: DemoProcess | undefined;
  #standby: DemoProcess | undefined;

  constructor(cluster: DemoCluster) {
    this.#cluster = cluster;
  }

  async run(): Promise<number> {
    await this.#start();
    const load = await DemoLoad.start([this.#led.address, this.#stood.address]);
    try {
      this.#act("Callers write keys and read them back, at quorum, all the time from here on.");
      await this.#watch(load);
      await this.#killNode(load);
      await this.#killLeader(load);
      await this.#rejoin(load);
      await load.stop();
      return await this.#verdict(load);
    } finally {
      await load.close();
    }
  }

  // The acts.

  async #start(): Promise<void> {
    this.#act(`A cluster in ${this.#cluster.directory}, which is removed at the end.`);
    const ports = await freePorts(FIRST_PORT, NODES.length);
    const [first] = await Promise.all([
      this.#cluster.startCoordinator("first", []),
      ...NODES.map(async (id, index) => this.#nodes.set(id, await this.#cluster.startNode(id, ports[index] ?? 0))),
    ]);
    this.#leader = first;
    for (const id of NODES) {
      await this.#ask((session) =>
        session.call({ op: "addnode", node: id as NodeId, address: this.#node(id).address }),
      );
      this.#say(`storage node ${id} at ${this.#node(id).address}`);
    }
    const join = NODES.map((id) => this.#node(id).address);
    this.#standby = await this.#cluster.startCoordinator("second", join);
    const status = await this.#status(({ standbys }) => standbys.length === 1);
    this.#say(`the leader at ${first.address}, epoch ${status.epoch}; a standby at ${this.#stood.address}`);
    this.#say(`${countOf(status.copies, "copy").replace(/ys$/, "ies")} of every key, a write needs a majority of them`);
  }

  async #killNode(load: DemoLoad): Promise<void> {
    this.#act(`kill -9 of storage node ${VICTIM}.`);
    load.silence();
    await this.#cluster.kill(this.#node(VICTIM));
    await this.#status(({ nodes }) => nodes.some(({ id, state }) => id === VICTIM && state === "down"));
    this.#say(`the leader calls ${VICTIM} down; two of three copies are a majority`);
    await this.#watch(load);
    this.#say(this.#style.green(`longest time without an answer: ${durationText(load.silence())}`));
  }

  async #killLeader(load: DemoLoad): Promise<void> {
    this.#act("kill -9 of the leader. Nobody is told.");
    const dead = this.#led;
    load.silence();
    const killedAt = performance.now();
    await this.#cluster.kill(dead);
    this.#leader = this.#stood;
    this.#standby = dead;
    await load.nextWrite();
    const { epoch } = await this.#status(() => true);
    this.#say(`the standby leads, epoch ${epoch}: first acknowledged write ${this.#since(killedAt)} after the kill`);
    await this.#watch(load);
    this.#say(this.#style.green(`longest time without an answer: ${durationText(load.silence())}`));
  }

  async #rejoin(load: DemoLoad): Promise<void> {
    this.#act(`Node ${VICTIM} comes back with its disk.`);
    const startedAt = performance.now();
    this.#nodes.set(VICTIM, await this.#cluster.startNode(VICTIM, portOf(this.#node(VICTIM).address)));
    const found = await this.#status((status) => stateOf(status, VICTIM)?.state === "up");
    const { missed, unchecked } = stateOf(found, VICTIM) ?? { missed: 0, unchecked: 0 };
    this.#say(`${VICTIM} is up after ${this.#since(startedAt)}; ${countOf(missed + unchecked, "slot")} to compare`);
    const repaired = await this.#ask((session) => session.call({ op: "repair", node: VICTIM as NodeId }));
    await this.#status((status) => stateOf(status, VICTIM)?.behindMs === null);
    const mended = this.#style.green(`in step after ${this.#since(startedAt)}`);
    this.#say(`${VICTIM} is ${mended}: ${Number(repaired["keysMended"])} keys mended now, while callers went on`);
    await this.#watch(load);
  }

  async #verdict(load: DemoLoad): Promise<number> {
    this.#act("Everything that was acknowledged is read back.");
    const { keys, lost } = await load.readBack();
    const { failed, wrong } = load.counts;
    const clean = lost.length === 0 && wrong === 0;
    const paint = clean ? this.#style.green : this.#style.red;
    this.#say(paint(`${keys} acknowledged writes: ${keys - lost.length} there, ${lost.length} lost, ${wrong} misread`));
    this.#say(`${countOf(failed, "operation")} without an answer in time`);
    this.#act("What the leader counted since it leads:");
    const metrics = await this.#ask((session) => session.call({ op: "metrics" }));
    for (const line of metricsLines(metrics, this.#style)) this.#say(line);
    this.#act("The end. To keep a cluster: ./runtime up");
    return clean ? 0 : 1;
  }

  /** Lets time pass, and says how it goes. */
  async #watch(load: DemoLoad): Promise<void> {
    for (let passedMs = 0; passedMs < ACT_MS; passedMs += REPORT_MS) {
      const before = load.counts;
      load.p99Ms();
      await sleep(REPORT_MS);
      const { writes, reads, failed } = load.counts;
      const rate = (count: number): string => `${Math.round((count * 1_000) / REPORT_MS)}/s`;
      const rates = `writes ${rate(writes - before.writes)}, reads ${rate(reads - before.reads)}`;
      this.#say(
        this.#style.dim(`${rates}, p99 ${durationText(load.p99Ms())}, ${failed} failed; ${writes} written so far`),
      );
    }
  }

  // Asking.

  get #led(): DemoProcess {
    return known(this.#leader);
  }

  get #stood(): DemoProcess {
    return known(this.#standby);
  }

  #node(id: string): DemoProcess {
    return known(this.#nodes.get(id));
  }

  /** Asks the leader, once it leads. */
  async #ask<Result>(question: (session: Session) => Promise<Result>): Promise<Result> {
    return await soon(async () => {
      const session = await openSession(this.#led.address, { timeoutMs: CALL_TIMEOUT_MS });
      try {
        return await question(session);
      } finally {
        await session.close();
      }
    });
  }

  /** The first status that is as wanted. */
  async #status(wanted: (status: StatusAnswer) => boolean): Promise<StatusAnswer> {
    return await soon(async () => {
      const status = await this.#ask((session) => session.call({ op: "status" }));
      return wanted(status) ? status : undefined;
    });
  }

  // Saying.

  #act(text: string): void {
    this.#write(this.#style.bold(text));
  }

  #say(text: string): void {
    this.#write(`  ${text}`);
  }

  #write(text: string): void {
    const now = new Date();
    const clock = [now.getHours(), now.getMinutes(), now.getSeconds()].map((part) => String(part).padStart(2, "0"));
    const stamp = `${clock.join(":")}.${String(now.getMilliseconds()).padStart(3, "0")}`;
    process.stdout.write(`${this.#style.dim(stamp)}  ${text}\n`);
  }

  #since(startedAt: number): string {
    return durationText(performance.now() - startedAt);
  }
}

function stateOf({ nodes }: StatusAnswer, node: string): StatusAnswer["nodes"][number] | undefined {
  return nodes.find(({ id }) => id === node);
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(":") + 1));
}

function known(process: DemoProcess | undefined): DemoProcess {
  if (process === undefined) throw new KvError("INTERNAL", "the demo asks for a process that it has not started");
  return process;
}

/** Tries again while nobody leads or answers, and while there is nothing yet. @throws KvError when that takes too long */
async function soon<Result>(attempt: () => Promise<Result | undefined>): Promise<Result> {
  for (const since = performance.now(); ; await sleep(POLL_MS)) {
    const late = performance.now() - since > STEP_MS_MAX;
    try {
      const found = await attempt();
      if (found !== undefined) return found;
      if (late) throw new KvError("TIMEOUT", "the cluster did not do in time what the demo waits for");
    } catch (error) {
      if (late || !(error instanceof KvError) || error.code === "INTERNAL" || !error.retryable) throw error;
    }
  }
}

// `npm run bench`: our cluster beside Redis and etcd, on the machine of who asks. A figure counts as a ratio to a peer of the
// same run: the stores take turns, round after round, and the median of what the rounds come to is told.
// All processes and the load share the cores.
//
//   --quick          within a minute: fewer workloads, shorter rounds
//   --only <text>    workloads whose name holds this (`HTTP`: those under wrk; `etcd`: its own load tool)
//   --alone          without the peers
//   --rounds <n>     turns of every store (default 5)
//   --seconds <n>    measured in each turn (default 3)
//   --json <file>    writes the report there, and a chart beside it
//   --check [file]   compares ratios with a committed report; says which fell by more than a quarter, and exits with 1
//
// A whole run ends with repair, addnode and growth; these are measured alone when they are asked for by name, in clusters of their own:
//
//   --only repair    puts while replicas are compared, and while a node catches up
//   --only addnode   puts while a fourth node takes its share; the medians of half as many clusters as rounds
//   --only growth    cost of puts and gets where keys, nodes and values grow one at a time: operations a second, latencies, CPU, memory.
//                    --keys 10000,100000,1000000  --nodes 1,3,5  --values 100,1024,65536 say how far; 10000000 keys
//                    take minutes to fill and gigabytes of disk
//   --only tail      puts at half load, issued by schedule, and small puts beside a writer of 1 MiB values; --minutes 10
//   --only failover  the leader is killed again and again under writers: time to the standby's first acknowledgement; --kills 20
//   --only soak      overwriting and deleting at half load: memory, files, and whether replicas differ at the end; --minutes 60
//
// Bars are said beside their figures and break nothing; an acknowledged write that is lost, or replicas that differ, exit with 1.
import { readFileSync, writeFileSync } from "node:fs";
import os from "node:os";
import { medianOf } from "./average.ts";
import { besideItsOwnTool } from "./etcd-tool.ts";
import { failover } from "./failover.ts";
import { fallen, type Report, type Row, type Single } from "./figures.ts";
import { type Flags, parseFlags, USAGE } from "./flags.ts";
import { growth } from "./growth.ts";
import { hasWrk, measureHttp } from "./http-rounds.ts";
import { chartOf, tableOf } from "./report-text.ts";
import { measureBeside, measureRow, warmUp, type Contestants, type Plan } from "./rounds.ts";
import { coldUp, idleMemory } from "./singles.ts";
import { soak } from "./soak.ts";
import { Systems } from "./systems.ts";
import { tail, type TailPlan } from "./tail.ts";
import { addedNode, repairCost } from "./upkeep.ts";
import { DISTINCT, KEYS, LARGE, MAIN, OURS, REPEATING, VALUE_BYTES, workload, type Workload } from "./workload.ts";

const QUICK = ["put, 64 in flight", "put, 1024 in flight", "get, 64 in flight"];
const QUICK_KEYS = 20_000;
const WARM_UP = workload("as many puts as gets, 64 in flight", "mixed-50", 64);

const note = (line: string): void => void process.stderr.write(`${line}\n`);

/** @param argv Arguments without the program's name. */
export async function main(argv: string[]): Promise<void> {
  const flags = parseFlags(argv);
  if (typeof flags === "string") {
    process.stderr.write(`${flags}\n${USAGE}\n`);
    process.exitCode = 2;
    return;
  }
  const systems = new Systems();
  let interrupted: Promise<void> | undefined;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => void (interrupted ??= systems.stopAll().finally(() => process.exit(130))));
  try {
    const report = await run(flags, systems);
    for (const line of tableOf(report)) tell(line);
    if (flags.json !== undefined) write(report, flags.json);
    if (flags.check !== undefined) process.exitCode = check(report, flags.check);
    if (report.singles.some(({ broken }) => broken)) process.exitCode = 1;
  } catch (error) {
    await interrupted; // what was being measured has ended with its stores
    throw error;
  } finally {
    await systems.stopAll();
  }
}

function tell(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function run(flags: Flags, systems: Systems): Promise<Report> {
  const alone = ALONE[flags.only];
  if (flags.quick || alone === undefined) return await compare(flags, systems);
  return { format: 1, machine: machine(), versions: {}, rows: [], singles: [], ...(await alone(flags, systems)) };
}

const REPAIR = upkeep(repairCost);
const ADDNODE = again(upkeep(addedNode));

type Measurement = (flags: Flags, systems: Systems) => Promise<Partial<Report>>;

/** What `--only` measures by these names, and nothing else then. */
const ALONE: Readonly<Record<string, Measurement>> = {
  growth: async (flags, systems) => ({ growth: await growth(systems, flags.growth, planOf(flags)) }),
  tail: async (flags, systems) => ({ singles: await tail(systems, tailPlanOf(flags)) }),
  failover: async ({ kills }) => ({ singles: await failover(kills, note) }),
  repair: REPAIR,
  addnode: ADDNODE,
  soak: async ({ minutes }, systems) => await soak(systems, minutes, note),
};

/** In a cluster that holds only what it is given for this: what upkeep costs grows with the keys there are. */
function upkeep(measured: typeof addedNode): Measurement {
  return async ({ rounds }, systems) => {
    const store = await systems.holdfast();
    const singles = await measured({ store, load: systems.load(), rounds, note });
    await systems.stop(store);
    return { singles };
  };
}

/** The medians of some runs, each in a cluster of its own: what happens once to a cluster cannot be measured in turns. */
function again(measure: Measurement): Measurement {
  return async (flags, systems) => {
    const runs: (readonly Single[])[] = [];
    while (runs.length < flags.rounds / 2) runs.push((await measure(flags, systems)).singles ?? []);
    const [first = []] = runs;
    const median = (at: number): number => medianOf(runs.map((singles) => singles[at]?.value ?? 0));
    return { singles: first.map((single, at) => ({ ...single, value: median(at) })) };
  };
}

function planOf({ rounds, seconds }: Flags): Plan {
  return { rounds, measureMs: seconds * 1_000, note };
}

function tailPlanOf({ minutes, rounds, seconds }: Flags): TailPlan {
  return { minutes, rounds, turnMs: seconds * 1_000, note };
}

/** Our cluster beside the peers. */
async function compare(flags: Flags, systems: Systems): Promise<Report> {
  const chosen = (list: readonly Workload[]): Workload[] =>
    list.filter(({ name }) => name.includes(flags.only) && (!flags.quick || QUICK.includes(name)));
  const whole = !flags.quick && flags.only === "";
  const singles: Single[] = whole ? [await coldUp(flags.rounds)] : [];
  const holdfast = await systems.holdfast();
  if (whole) singles.push(idleMemory(holdfast));
  const redis = flags.alone ? undefined : await systems.redis(note);
  const stores = redis === undefined ? [holdfast] : [holdfast, redis];
  const load = systems.load();
  const keys = flags.quick ? QUICK_KEYS : KEYS;
  note("filling in the keys …");
  for (const { target } of stores) if (target !== null) await load.fill(target, keys, VALUE_BYTES);
  await warmUp({ ...WARM_UP, keys }, { load, stores });
  const rows: Row[] = [];
  const plan = planOf(flags);
  const measure = async (list: readonly Workload[], contestants: Contestants): Promise<void> => {
    for (const workload of list)
      rows.push(await measureRow({ ...workload, keys: Math.min(keys, workload.keys) }, contestants, plan));
  };
  await measure(chosen(MAIN), { load, stores });
  await measure(chosen(OURS), { load, stores: [holdfast] });
  for (const distinct of chosen([DISTINCT]))
    rows.push(await measureBeside(distinct, REPEATING, { load, store: holdfast }, plan));
  await measure(chosen(LARGE), { load, stores });
  const versions = Object.fromEntries(stores.map(({ name, version }) => [name, version]));
  if (redis !== undefined) await systems.stop(redis);
  const byTool = whole || flags.only === "etcd";
  const byHttp = !flags.quick && "HTTP".includes(flags.only);
  if (byTool || byHttp) {
    const etcd = flags.alone ? undefined : await systems.etcd(note);
    if (byHttp && !hasWrk()) note("wrk is not installed (apt-get install wrk): no HTTP");
    else if (byHttp) rows.push(...(await measureHttp(etcd === undefined ? [holdfast] : [holdfast, etcd], plan)));
    if (etcd !== undefined) {
      versions["etcd"] = etcd.version;
      if (byTool) singles.push(...(await besideItsOwnTool(etcd, holdfast, load)));
      await systems.stop(etcd);
    }
  }
  const report: Report = { format: 1, machine: machine(), versions, rows, singles };
  if (!whole) return report;
  await systems.stop(holdfast);
  for (const measure of [REPAIR, ADDNODE]) singles.push(...((await measure(flags, systems)).singles ?? []));
  return { ...report, growth: await growth(systems, flags.growth, plan) };
}

function machine(): Report["machine"] {
  const [cpu] = os.cpus();
  return {
    cores: os.cpus().length,
    cpu: cpu?.model ?? "unknown",
    system: `${os.type()} ${os.release()}`,
    node: process.version,
    loadAverage: Math.round((os.loadavg()[0] ?? 0) * 10) / 10,
  };
}

function write(report: Report, file: string): void {
  writeFileSync(file, `${JSON.stringify(report, null, 1)}\n`);
  writeFileSync(file.replace(/\.json$/, "") + ".svg", chartOf(report));
}

/** @returns the exit status */
function check(report: Report, file: string): number {
  const complaints = fallen(report, JSON.parse(readFileSync(file, "utf8")) as Report);
  tell("");
  tell(complaints.length === 0 ? `no ratio fell by more than a quarter since ${file}` : `fell since ${file}:`);
  for (const complaint of complaints) tell(`  ${complaint}`);
  return complaints.length === 0 ? 0 : 1;
}

// `npm run bench`: our cluster beside Redis and etcd, on the machine of who asks. A figure counts as a ratio to a peer of the
// same run: the stores take turns, round after round, and medians are compared. All processes and the load share the cores.
//
//   --quick          within a minute: fewer workloads, shorter rounds
//   --only <text>    workloads whose name holds this (`HTTP`: those under wrk; `repair`, `addnode`: what upkeep costs)
//   --alone          without the peers
//   --rounds <n>     turns of every store (default 3)
//   --seconds <n>    measured in each turn (default 4)
//   --json <file>    writes the report there, and a chart beside it
//   --check [file]   compares ratios with a committed report; says which fell by more than a quarter, and exits with 1
import { readFileSync, writeFileSync } from "node:fs";
import os from "node:os";
import { parseArgs } from "node:util";
import { etcdByItsOwnTool } from "./etcd-store.ts";
import { fallen, type Report, type Row, type Single } from "./figures.ts";
import { hasWrk, measureHttp } from "./http-rounds.ts";
import { chartOf, tableOf } from "./report-text.ts";
import { measureRow, type Contestants } from "./rounds.ts";
import { coldUp, idleMemory } from "./singles.ts";
import { Systems } from "./systems.ts";
import { addedNode, repairCost } from "./upkeep.ts";
import { KEYS, LARGE, MAIN, OURS, VALUE_BYTES, type Workload } from "./workload.ts";

const BASELINE = "test/bench/baseline.json";
const QUICK = ["put, 64 in flight", "put, 1024 in flight", "get, 64 in flight"];
const QUICK_KEYS = 20_000;

interface Flags {
  readonly quick: boolean;
  readonly alone: boolean;
  readonly only: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly json: string | undefined;
  readonly check: string | undefined;
}

/** @param argv Arguments without the program's name. */
export async function main(argv: string[]): Promise<void> {
  const flags = parse(argv);
  if (typeof flags === "string") {
    process.stderr.write(
      `${flags}\nusage: npm run bench -- [--quick] [--only text] [--alone] [--rounds 3] [--seconds 4] [--json file] [--check [file]]\n`,
    );
    process.exitCode = 2;
    return;
  }
  const systems = new Systems();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.once(signal, () => void systems.stopAll().finally(() => process.exit(130)));
  try {
    const report = await run(flags, systems);
    for (const line of tableOf(report)) tell(line);
    if (flags.json !== undefined) write(report, flags.json);
    if (flags.check !== undefined) process.exitCode = check(report, flags.check);
  } finally {
    await systems.stopAll();
  }
}

function tell(line: string): void {
  process.stdout.write(`${line}\n`);
}

function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

async function run(flags: Flags, systems: Systems): Promise<Report> {
  const chosen = (list: readonly Workload[]): Workload[] =>
    list.filter(({ name }) => name.includes(flags.only) && (!flags.quick || QUICK.includes(name)));
  const whole = !flags.quick && flags.only === "";
  const singles: Single[] = whole ? [await coldUp()] : [];
  const holdfast = await systems.holdfast();
  if (whole) singles.push(idleMemory(holdfast));
  const redis = flags.alone ? undefined : await systems.redis(note);
  const stores = redis === undefined ? [holdfast] : [holdfast, redis];
  const load = systems.load();
  const keys = flags.quick ? QUICK_KEYS : KEYS;
  note("filling in the keys …");
  for (const { target } of stores) if (target !== null) await load.fill(target, keys, VALUE_BYTES);
  const rows: Row[] = [];
  const plan = { rounds: flags.rounds, measureMs: flags.seconds * 1_000, note };
  const measure = async (list: readonly Workload[], contestants: Contestants): Promise<void> => {
    for (const workload of list)
      rows.push(await measureRow({ ...workload, keys: Math.min(keys, workload.keys) }, contestants, plan));
  };
  await measure(chosen(MAIN), { load, stores });
  await measure(chosen(OURS), { load, stores: [holdfast] });
  await measure(chosen(LARGE), { load, stores });
  const versions = Object.fromEntries(stores.map(({ name, version }) => [name, version]));
  if (redis !== undefined) await systems.stop(redis);
  if (!flags.quick && "HTTP".includes(flags.only)) {
    const etcd = flags.alone ? undefined : await systems.etcd(note);
    if (!hasWrk()) note("wrk is not installed (apt-get install wrk): no HTTP");
    else rows.push(...(await measureHttp(etcd === undefined ? [holdfast] : [holdfast, etcd], plan)));
    if (etcd !== undefined) versions["etcd"] = etcd.version;
    const byTool = etcd && whole ? await etcdByItsOwnTool(etcd) : undefined;
    if (byTool !== undefined) singles.push(byTool);
    if (etcd !== undefined) await systems.stop(etcd);
  }
  const upkeep = { store: holdfast, load, rounds: flags.rounds, note };
  if (whole || flags.only === "repair") singles.push(...(await repairCost(upkeep)));
  if (whole || flags.only === "addnode") singles.push(...(await addedNode(upkeep)));
  return { format: 1, machine: machine(), versions, rows, singles };
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

/** What was asked for, or why it is not understood. */
function parse(argv: string[]): Flags | string {
  const text = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  // `--check` alone means the committed report.
  const args = argv.map((arg, index) =>
    arg === "--check" && (argv[index + 1] ?? "--").startsWith("--") ? `--check=${BASELINE}` : arg,
  );
  try {
    const { values } = parseArgs({
      args,
      options: { quick: flag, alone: flag, only: text, rounds: text, seconds: text, json: text, check: text },
    });
    const { quick, alone, only = "", json, check: checked } = values;
    const rounds = Number(values.rounds ?? (quick ? 1 : 3));
    const seconds = Number(values.seconds ?? (quick ? 2 : 4));
    if (!(rounds >= 1 && Number.isSafeInteger(rounds) && seconds > 0)) return "--rounds, --seconds: numbers above zero";
    return { quick, alone, only, rounds, seconds, json, check: checked };
  } catch (error) {
    return (error as Error).message;
  }
}

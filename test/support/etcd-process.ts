// An etcd of real processes, for tests of `--state etcd://…`: one or more members of Debian's etcd-server on loopback, each on ports that stay
// its own, so that any of them can be killed and started again. Tests ask `hasEtcd` first: where it is missing they are skipped, with a note.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { freePort, until } from "./cluster-process.ts";

/** Whether there is an etcd to test against; says so where there is none. */
export const hasEtcd = spawnSync("etcd", ["--version"]).status === 0;
if (!hasEtcd)
  process.stderr.write("no etcd here (Debian: apt-get install etcd-server): tests against it are skipped\n");

interface EtcdMember {
  readonly name: string;
  readonly client: string;
  readonly peer: string;
  child: ChildProcess | undefined;
}

const open = new Set<EtcdProcess>();
process.on("exit", () => {
  for (const etcd of open) etcd.endNow();
});

/** Kills what the tests of a file still run. For `afterEach`. */
export async function closeEtcd(): Promise<void> {
  await Promise.all([...open].map((etcd) => etcd.close()));
}

export class EtcdProcess {
  readonly #folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-etcd-"));
  readonly #members: EtcdMember[];

  private constructor(members: EtcdMember[]) {
    this.#members = members;
  }

  /** Starts so many members, and waits until they agree. Closed by `closeEtcd`. */
  static async start(count: number): Promise<EtcdProcess> {
    const members: EtcdMember[] = [];
    for (let number = 1; number <= count; number++) {
      const [client, peer] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
      members.push({ name: `e${number}`, client, peer, child: undefined });
    }
    const etcd = new EtcdProcess(members);
    open.add(etcd);
    etcd.startAll();
    await etcd.answers();
    return etcd;
  }

  get endpoints(): string[] {
    return this.#members.map(({ client }) => client);
  }

  startAll(): void {
    for (const member of this.#members) if (member.child === undefined) this.#start(member);
  }

  /** Kills members by their positions; all of them by default. */
  async kill(positions: readonly number[] = this.#members.map((_, position) => position)): Promise<void> {
    await Promise.all(positions.map((position) => this.#kill(this.#members[position])));
  }

  /** Waits until a member answers for a majority. */
  async answers(): Promise<void> {
    await until("an answer of etcd", async () => ((await this.#asked("kv/range", { key: "YQ==" })) ? true : undefined));
  }

  /** What a member says; undefined where none does. */
  async #asked(call: string, body: object): Promise<unknown> {
    for (const endpoint of this.endpoints) {
      const signal = AbortSignal.timeout(500);
      const options = { method: "POST", body: JSON.stringify(body), signal };
      const answer = await fetch(`http://${endpoint}/v3/${call}`, options).catch(() => undefined);
      if (answer?.ok === true) return await answer.json();
    }
    return undefined;
  }

  /** Deletes every key under a prefix, as if the etcd had been emptied. */
  async empty(prefix: string): Promise<void> {
    const key = Buffer.from(prefix).toString("base64");
    const end = Buffer.from(`${prefix}\xff`, "latin1").toString("base64");
    await until("the keys to be deleted", async () => await this.#asked("kv/deleterange", { key, range_end: end }));
  }

  #start(member: EtcdMember): void {
    const all = this.#members.map(({ name, peer }) => `${name}=http://${peer}`).join(",");
    const args = [
      ["--name", member.name],
      ["--data-dir", path.join(this.#folder, member.name)],
      ["--listen-client-urls", `http://${member.client}`],
      ["--advertise-client-urls", `http://${member.client}`],
      ["--listen-peer-urls", `http://${member.peer}`],
      ["--initial-advertise-peer-urls", `http://${member.peer}`],
      ["--initial-cluster", all],
    ];
    member.child = spawn("etcd", args.flat(), { stdio: "ignore" });
  }

  async #kill(member: EtcdMember | undefined): Promise<void> {
    const child = member?.child;
    if (!member || !child) return;
    member.child = undefined;
    const gone = child.exitCode === null && child.signalCode === null ? once(child, "exit") : undefined;
    child.kill("SIGKILL");
    await gone;
  }

  /** At the end of this process. */
  endNow(): void {
    for (const { child } of this.#members) child?.kill("SIGKILL");
  }

  async close(): Promise<void> {
    open.delete(this);
    await this.kill();
    fs.rmSync(this.#folder, { recursive: true, force: true });
  }
}

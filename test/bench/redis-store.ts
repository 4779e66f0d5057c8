// Redis as a store: one primary and two replicas, every write synced by each of them before it is acknowledged.
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../support/cluster-process.ts";
import { command, RedisConnection } from "./redis-client.ts";
import { PeerProcesses, type Store, versionOf } from "./store.ts";

const WAIT_MS_MAX = 10_000;
const POLL_MS = 50;
const FLAGS = ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--repl-diskless-sync-delay", "0"];

/** Undefined where Redis is not installed. */
export async function startRedis(): Promise<Store | undefined> {
  const version = versionOf("redis-server", "--version");
  if (version === undefined) return undefined;
  const processes = new PeerProcesses("redis");
  const roles: { role: string; pid: number }[] = [];
  const ports = [await freePort(), await freePort(), await freePort()];
  for (const [index, port] of ports.entries()) {
    const own = [
      "--port",
      String(port),
      "--bind",
      "127.0.0.1",
      "--appenddirname",
      `aof-${port}`,
      "--dbfilename",
      `${port}.rdb`,
    ];
    const following = index === 0 ? [] : ["--replicaof", "127.0.0.1", String(ports[0])];
    const pid = processes.start("redis-server", [...own, ...FLAGS, ...following]);
    roles.push({ role: index === 0 ? "primary" : "replicas", pid });
  }
  const address = `127.0.0.1:${ports[0]}`;
  try {
    await replicated(address, ports.length - 1);
  } catch (error) {
    await processes.stop();
    throw error;
  }
  return {
    name: "redis",
    version: `${version.replace(/ sha=.*/, "")}, 1 primary + 2 replicas, appendonly yes, appendfsync always, WAIT 1 0 (receipt, not disk)`,
    target: { store: "redis", address },
    http: null,
    roles,
    stop: () => processes.stop(),
  };
}

/** Waits until the primary has its replicas. */
async function replicated(address: string, replicas: number): Promise<void> {
  const endsAt = performance.now() + WAIT_MS_MAX;
  while (performance.now() < endsAt) {
    const connection = await RedisConnection.open(address).catch(() => undefined);
    const info = await connection?.ask(command("INFO", "replication"), 1).catch(() => [""]);
    connection?.close();
    const online = info?.[0]?.match(/state=online/g)?.length ?? 0;
    if (online >= replicas) return;
    await sleep(POLL_MS);
  }
  throw new Error(`the replicas of Redis were not there within ${WAIT_MS_MAX} ms`);
}

// etcd as a store: three members with their default settings, which are durable, loaded over its HTTP/JSON API by `wrk` and
// by its own tool (etcd-tool.ts).
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../support/cluster-process.ts";
import { PeerProcesses, type Store, versionOf } from "./store.ts";

const WAIT_MS_MAX = 15_000;
const POLL_MS = 100;

/** Undefined where etcd is not installed. */
export async function startEtcd(): Promise<Store | undefined> {
  const version = versionOf("etcd", "--version");
  if (version === undefined) return undefined;
  const processes = new PeerProcesses("etcd");
  const members: { name: string; client: string; peer: string }[] = [];
  for (const name of ["m1", "m2", "m3"]) {
    const [client, peer] = [await freePort(), await freePort()];
    members.push({ name, client: `http://127.0.0.1:${client}`, peer: `http://127.0.0.1:${peer}` });
  }
  const cluster = members.map(({ name, peer }) => `${name}=${peer}`).join(",");
  const roles = members.map(({ name, client, peer }) => {
    const clients = ["--listen-client-urls", client, "--advertise-client-urls", client];
    const peers = ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer];
    const all = ["--name", name, "--data-dir", name, ...clients, ...peers, "--initial-cluster", cluster];
    return { role: "members", pid: processes.start("etcd", all) };
  });
  const http = members[0]?.client ?? "";
  try {
    await healthy(http);
  } catch (error) {
    await processes.stop();
    throw error;
  }
  return {
    name: "etcd",
    version: `${version}, 3 members, default settings`,
    target: null,
    http,
    roles,
    stop: () => processes.stop(),
  };
}

async function healthy(url: string): Promise<void> {
  const endsAt = performance.now() + WAIT_MS_MAX;
  while (performance.now() < endsAt) {
    const answer = await fetch(`${url}/health`).catch(() => undefined);
    if (answer?.ok === true) return;
    await sleep(POLL_MS);
  }
  throw new Error(`etcd was not healthy within ${WAIT_MS_MAX} ms`);
}

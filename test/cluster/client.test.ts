// The client library against a real coordinator and real nodes: pipelining, order, conditions, direct reads, and writes
// that meet a coordinator's death (C8). One cluster for all of it: each test uses keys of its own.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { connect, type ConnectOptions, type KvClient, KvError } from "../../shared/client/connect.ts";
import { closeEverything } from "../support/cluster-checks.ts";
import { ClusterProcess, until } from "../support/cluster-process.ts";

let cluster: ClusterProcess;
const clients: KvClient[] = [];

beforeAll(async () => {
  cluster = await ClusterProcess.start();
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});
afterAll(() => closeEverything());

async function client(options: ConnectOptions = {}, address = cluster.address): Promise<KvClient> {
  const kv = await connect(address, options);
  clients.push(kv);
  return kv;
}

/** What is issued at once waits for its turn. */
const PATIENT: ConnectOptions = { timeoutMs: 10_000 };

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const texts = async (kv: KvClient, keys: readonly string[], options = {}): Promise<(string | undefined)[]> =>
  await Promise.all(keys.map(async (key) => (await kv.get(key, options))?.text()));

describe("what is issued in one turn", () => {
  test("3000 writes, then 3000 reads, are pipelined and each gets its own answer", async () => {
    const kv = await client(PATIENT);
    const keys = numbers(3_000).map((number) => `pipelined:${number}`);
    const written = await Promise.all(keys.map((key) => kv.put(key, `value of ${key}`)));
    expect(new Set(written.map(({ version }) => version)).size).toBe(keys.length);
    expect(await texts(kv, keys)).toEqual(keys.map((key) => `value of ${key}`));
  });

  test("64 values of 64 KiB are written, and then read, all at a time: more than lines hold", async () => {
    const kv = await client(PATIENT);
    const keys = numbers(64).map((number) => `large:${number}`);
    const values = keys.map((key) => key.padEnd(64 * 1024, "."));
    await Promise.all(keys.map((key, index) => kv.put(key, values[index] ?? "")));
    expect(await texts(kv, keys)).toEqual(values);
  });

  test("C3: operations of one client on one key keep their order without being awaited", async () => {
    const kv = await client(PATIENT);
    const seen: number[] = [];
    const versions: number[] = [];
    const pending = numbers(100).flatMap((number) => [
      kv.put("ordered", String(number)).then(({ version }) => void versions.push(Number(version.split(".")[1]))),
      kv.get("ordered").then((entry) => void (seen[number] = Number(entry?.text()))),
    ]);
    await Promise.all(pending);
    expect(seen).toEqual(numbers(100));
    expect(versions).toEqual([...versions].sort((a, b) => a - b));
  });
});

describe("conditions (C7)", () => {
  test("ifAbsent stores once; the refusal names the version that is there", async () => {
    const kv = await client();
    const { version } = await kv.put("once", "first", { ifAbsent: true });
    const again = kv.put("once", "second", { ifAbsent: true });
    await expect(again).rejects.toMatchObject({ code: "CONDITION_FAILED", outcome: "failed", details: { version } });
    expect((await kv.get("once"))?.text()).toBe("first");
  });

  test("ifVersion stores over that version only, and deletes it only", async () => {
    const kv = await client();
    const { version: old } = await kv.put("versioned", "a");
    const { version } = await kv.put("versioned", "b", { ifVersion: old });
    await expect(kv.put("versioned", "c", { ifVersion: old })).rejects.toMatchObject({ code: "CONDITION_FAILED" });
    await expect(kv.delete("versioned", { ifVersion: old })).rejects.toMatchObject({ code: "CONDITION_FAILED" });
    expect(await kv.get("versioned")).toMatchObject({ version });
    await kv.delete("versioned", { ifVersion: version });
    expect(await kv.get("versioned")).toBeNull();
  });

  test("of many clients that replace one version, exactly one succeeds", async () => {
    const rivals = await Promise.all(numbers(4).map(() => client()));
    const { version } = await (rivals[0] as KvClient).put("contended", "start");
    const attempts = rivals.flatMap((kv, rival) =>
      numbers(10).map((number) => kv.put("contended", `${rival}:${number}`, { ifVersion: version })),
    );
    const settled = await Promise.allSettled(attempts);
    expect(settled.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });
});

describe("a coordinator that dies and comes back", () => {
  test("C8: a counter raised by conditional writes holds every acknowledged step, and no step twice", async () => {
    const rivals = await Promise.all(numbers(3).map(() => client(PATIENT)));
    await (rivals[0] as KvClient).put("counter", "0");
    let acknowledged = 0;
    let unknown = 0;
    let running = true;
    const raise = async (kv: KvClient): Promise<void> => {
      try {
        const entry = await kv.get("counter");
        if (entry === null) throw new Error("the counter is gone");
        await kv.put("counter", String(Number(entry.text()) + 1), { ifVersion: entry.version });
        acknowledged++;
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        if (error.outcome === "unknown") unknown++;
      }
    };
    const steps = rivals.map(async (kv) => {
      while (running) await raise(kv);
    });
    for (let kills = 0; kills < 3; kills++) {
      const goal = acknowledged + 40;
      await until("forty steps", async () => (acknowledged >= goal ? true : undefined));
      await cluster.killCoordinator();
      await cluster.startCoordinator();
    }
    running = false;
    await Promise.all(steps);
    const value = Number((await (rivals[0] as KvClient).get("counter"))?.text());
    expect(value).toBeGreaterThanOrEqual(acknowledged);
    expect(value).toBeLessThanOrEqual(acknowledged + unknown);
  });

  test("C8: writes in flight at its death are acknowledged after a retry, or unknown, and then read as either", async () => {
    const kv = await client(PATIENT);
    const keys = numbers(400).map((number) => `in-flight:${number}`);
    await Promise.all(keys.map((key) => kv.put(key, "old")));
    const writes = Promise.allSettled(keys.map((key) => kv.put(key, "new")));
    await kv.get("nothing"); // answered behind the writes' line: some of them are on their way by now
    await cluster.killCoordinator();
    await cluster.startCoordinator();
    const outcomes = await writes;
    const read = await texts(kv, keys);
    outcomes.forEach((outcome, index) => {
      if (outcome.status === "fulfilled") expect(read[index]).toBe("new");
      else expect(outcome.reason).toMatchObject({ outcome: "unknown" });
      expect(["old", "new"]).toContain(read[index]);
    });
    // What one reader saw, every later one sees.
    expect(await texts(await client(), keys)).toEqual(read);
  });
});

describe("reads at level one", () => {
  const keys = numbers(300).map((number) => `direct:${number}`);

  test("come straight from the nodes: they go on while no coordinator lives", async () => {
    const kv = await client();
    await Promise.all(keys.map((key) => kv.put(key, key, { consistency: "all" })));
    expect(await kv.get(keys[0] as string, { consistency: "one" })).toMatchObject({ stale: true });
    await cluster.killCoordinator();
    expect(await texts(kv, keys, { consistency: "one" })).toEqual(keys);
    await expect(kv.get(keys[0] as string, { timeoutMs: 200 })).rejects.toMatchObject({ code: "NO_LEADER" });
    await cluster.startCoordinator();
    expect(await texts(kv, keys)).toEqual(keys);
  });

  test("NOT_OWNER fetches the ring again: after addnode they come straight from the new owners", async () => {
    await cluster.call({ op: "setreplica", rf: 1 });
    const kv = await client();
    await Promise.all(keys.map((key) => kv.put(key, key)));
    expect(await texts(kv, keys, { consistency: "one" })).toEqual(keys);
    await cluster.startNode("D");
    await cluster.addNode("D");
    expect(await texts(kv, keys, { consistency: "one" })).toEqual(keys); // those that moved: by way of the coordinator
    // The ring is fetched at most once a second, so this may take a few rounds. While no coordinator lives, only direct
    // reads are answered; after its return the first reads find it, and the next ones fetch the ring from it.
    await until("all reads to be direct", async () => {
      await cluster.killCoordinator();
      const direct = await texts(kv, keys, { consistency: "one", timeoutMs: 300 }).catch(() => undefined);
      await cluster.startCoordinator();
      for (let time = 0; time < 2; time++) await texts(kv, keys, { consistency: "one", ...PATIENT });
      return direct;
    }).then((direct) => expect(direct).toEqual(keys));
    expect(await cluster.call({ op: "status" })).toMatchObject({ copies: 1 });
  });
});

test("any storage node tells a client where the leader is", async () => {
  const kv = await client({}, cluster.addressOf("B"));
  await kv.put("found", "by a node");
  expect((await kv.get("found"))?.text()).toBe("by a node");
});

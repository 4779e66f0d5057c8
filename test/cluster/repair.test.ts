// A node that was dead while thousands of keys were written is in step again within seconds of its return, by what the leader remembers
// of it; real processes. HOLDFAST_MISSED sets how many writes it misses; how long it takes is printed.
import { afterEach, expect, test } from "vitest";
import { connect } from "../../shared/client/connect.ts";
import { closeEverything } from "../support/cluster-checks.ts";
import { ClusterProcess, until } from "../support/cluster-process.ts";

const MISSED = Number(process.env["HOLDFAST_MISSED"] ?? 3_000);
const AT_ONCE = 500;

afterEach(() => closeEverything());

test(`C9: a node back after missing ${MISSED} writes gets into step by itself`, async () => {
  const cluster = await ClusterProcess.start();
  const client = await connect(cluster.addresses);
  try {
    await cluster.kill("C");
    for (let start = 0; start < MISSED; start += AT_ONCE) {
      const count = Math.min(AT_ONCE, MISSED - start);
      await Promise.all(
        Array.from({ length: count }, async (_, index) => await client.put(`key ${start + index}`, "x")),
      );
    }
    await cluster.startNode("C");
    const startedAt = process.hrtime.bigint();
    await until("C is in step", async () => {
      const node = (await cluster.call({ op: "status" })).nodes.find(({ id }) => id === "C");
      return node?.behindMs === null && node.keys === MISSED ? node : undefined;
    });
    const ms = Number(process.hrtime.bigint() - startedAt) / 1e6;
    process.stdout.write(`in step ${Math.round(ms)} ms after it answered, ${MISSED} writes missed\n`);
    expect((await cluster.call({ op: "repair" })).keysMended).toBe(0);
  } finally {
    await client.close();
  }
});

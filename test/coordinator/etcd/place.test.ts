// What people may write behind --state, and what a gateway makes of something that is no etcd.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { EtcdGateway } from "../../../coordinator/etcd/gateway.ts";
import { parseEtcdLocation } from "../../../coordinator/etcd/place.ts";

test("an etcd is named by its members, and by a prefix where it is shared", () => {
  expect(parseEtcdLocation("etcd://10.0.0.1:2379,10.0.0.2:2379")).toEqual({
    endpoints: ["10.0.0.1:2379", "10.0.0.2:2379"],
    prefix: "holdfast",
    place: "etcd://10.0.0.1:2379,10.0.0.2:2379/holdfast",
  });
  expect(parseEtcdLocation("etcd://[::1]:2379/team/orders/")).toMatchObject({
    endpoints: ["[::1]:2379"],
    prefix: "team/orders",
  });
});

test.each([
  "",
  "etcd://",
  "http://h:1",
  "etcd:///prefix",
  "etcd://h:1/a b",
  "etcd://h:1//a",
  "etcd://h:0",
  "etcd://h:1,",
])("%s names no etcd", (text) => {
  expect(() => parseEtcdLocation(text)).toThrow(/expected/);
});

test("whatever answers is no reason to fail: a call ends as silent, and the next member is asked", async () => {
  let asked = 0;
  const stranger = createServer((_request, response) => {
    asked++;
    response.end(asked % 2 === 0 ? "hello" : "[]");
  }).listen(0, "127.0.0.1");
  await once(stranger, "listening");
  const { port } = stranger.address() as AddressInfo;
  const gateway = new EtcdGateway([`127.0.0.1:${port}`, "127.0.0.1:1", `127.0.0.1:${port}`]);
  expect(await gateway.call({ op: "keepAlive", lease: "1" })).toMatchObject({ type: "silent" });
  expect(asked).toBe(2);
  gateway.close();
  expect(await gateway.call({ op: "read", keys: ["k"] })).toMatchObject({ type: "silent" });
  stranger.close();
});

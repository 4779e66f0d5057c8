// One storage node as a process: its ready line, its words to strangers, and how it ends. Real processes and sockets.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { buildProgram, killNodes, type NodeProcess, RawLink, startNode } from "../support/node-process.ts";

let folder = "";
const links: RawLink[] = [];

beforeAll(buildProgram);
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-node-"));
});
afterEach(async () => {
  for (const link of links.splice(0)) link.close();
  await killNodes();
  fs.rmSync(folder, { recursive: true, force: true });
});

const start = (...more: string[]): NodeProcess => startNode(["0", "--data-dir", "here", ...more], folder);

async function linkTo(node: NodeProcess): Promise<RawLink> {
  const link = new RawLink((await node.ready).port);
  links.push(link);
  return link;
}

const hello = { id: 1, op: "hello", versions: [1, 1] };

describe("a node that is ready", () => {
  test("says so in one line of standard output, and makes its directory", async () => {
    const node = start();
    const { line, port } = await node.ready;
    expect(line).toBe(`node_server listening on 127.0.0.1:${port} id=node-${port} data=here`);
    expect(fs.existsSync(path.join(folder, "here/format.json"))).toBe(true);
    node.child.kill("SIGTERM");
    expect((await node.ended).stdout).toBe(`${line}\n`);
  });

  test("answers ping and stats with the delay of its event loop, and knows itself by the id it was given", async () => {
    const node = start("--id", "apple", "--weight", "2", "--advertise", "127.0.0.1:7000");
    expect((await node.ready).line).toContain(" id=apple ");
    const link = await linkTo(node);
    expect(await link.ask({ id: 7, op: "ping" })).toEqual({
      id: 7,
      status: "ok",
      eventLoopDelayMs: expect.any(Number) as number,
    });
    const stats = await link.ask({ id: 8, op: "stats" });
    expect(stats).toMatchObject({ id: 8, status: "ok", node: null, fence: 0, keys: 0, diskFull: false });
    expect(stats?.["eventLoopDelayMs"]).toBeGreaterThanOrEqual(0);
  });

  test("N7: refuses to read while it is blank, and says that it owns nothing", async () => {
    const link = await linkTo(start());
    const answer = await link.ask({ id: 3, op: "read", key: "apple" });
    expect(answer).toMatchObject({ id: 3, status: "error", code: "NOT_OWNER" });
  });

  test("answers a bad line with id null and serves the good one after it", async () => {
    const link = await linkTo(start());
    await link.ask({ id: 1, op: "ping" });
    link.send('{"id": 2, "op"\n{"id":3,"op":"ping"}\n');
    expect(await link.next()).toMatchObject({ id: null, status: "error", code: "BAD_REQUEST" });
    expect(await link.next()).toMatchObject({ id: 3, status: "ok" });
  });

  test("answers a line beyond the limit with TOO_LARGE and closes the connection", async () => {
    const link = await linkTo(start());
    link.send(`{"id":1,"pad":"${"x".repeat(8 * 1024 * 1024)}`);
    expect(await link.next()).toMatchObject({ id: null, status: "error", code: "TOO_LARGE" });
    expect(await link.next()).toBeUndefined();
  });

  test("closes a connection that speaks HTTP, and carries out nothing of its body", async () => {
    const link = await linkTo(start());
    link.send('POST / HTTP/1.1\r\nHost: x\r\n\r\n{"id":1,"op":"ping"}\n');
    expect(await link.next()).toMatchObject({ id: null, status: "error", code: "BAD_REQUEST" });
    expect(await link.next()).toBeUndefined();
  });
});

describe("a start that cannot be", () => {
  /** The one line said on standard error by a start that ends with status 1. */
  async function refusalOf(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await startNode(args, folder).ended;
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    return stderr;
  }

  test("a directory in use by a living process is refused", async () => {
    const first = start();
    await first.ready;
    expect(await refusalOf("0", "--data-dir", "here")).toMatch(
      /^node_server: another process uses the data directory here: stop it/,
    );
    expect(await (await linkTo(first)).ask({ id: 1, op: "ping" })).toMatchObject({ status: "ok" });
  });

  test("a port that is taken is refused, and the directory is free afterwards", async () => {
    const { port } = await start().ready;
    expect(await refusalOf(String(port), "--data-dir", "there")).toContain(`127.0.0.1:${port} is already in use`);
    await startNode(["0", "--data-dir", "there"], folder).ready;
  });

  test("a directory that cannot be made is refused", async () => {
    fs.writeFileSync(path.join(folder, "file"), "in the way");
    expect(await refusalOf("0", "--data-dir", "file/deeper")).toMatch(
      /^node_server: .*'file\/deeper'; make .*--data-dir$/m,
    );
  });

  test("a directory of a newer format is refused", async () => {
    fs.mkdirSync(path.join(folder, "here"));
    const format = { format: 99, incarnation: "0a0b0c0d-0000-4000-8000-000000000001" };
    fs.writeFileSync(path.join(folder, "here/format.json"), JSON.stringify(format));
    expect(await refusalOf("0", "--data-dir", "here")).toContain("has format 99");
  });

  test.each([
    [["70000"], "from 0 to 65535"],
    [["0"], "needs --data-dir"],
    [["5001", "--weight", "0"], "from 1 to 100"],
    [["5001", "--id", "-"], "beginning with a letter or digit"],
    [["5001", "--advertise", "nowhere"], "expected host:port"],
  ])("arguments %j are refused", async (args, words) => {
    expect(await refusalOf(...args)).toContain(words);
  });
});

/** A first write to the log: makes a blank node a member of a new cluster. */
const init = {
  id: 2,
  op: "init",
  cluster: "0a0b0c0d-0000-4000-8000-000000000001",
  node: "apple",
  seed: 7,
  owner: "0a0b0c0d-0000-4000-8000-000000000002",
  ballot: [1, 1],
  state: "{}",
};

describe("the end", () => {
  test("an identity that was acknowledged outlives SIGKILL, and wins over --id", async () => {
    const first = start();
    expect(await (await linkTo(first)).ask(init)).toMatchObject({ id: 2, status: "ok" });
    first.child.kill("SIGKILL");
    await first.ended;
    const second = start("--id", "pear");
    expect((await second.ready).line).toContain(" id=apple ");
    expect(await (await linkTo(second)).ask(hello)).toMatchObject({ cluster: init.cluster, node: "apple" });
  });

  // The system refuses every further write to a file: the log cannot be written any more.
  const limits = spawnSync("prlimit", ["--version"]).status === 0;
  test.skipIf(!limits)(
    "N10: a log that cannot be written ends the process with status 1, nothing answered",
    async () => {
      const node = start();
      const link = await linkTo(node);
      expect(spawnSync("prlimit", ["--pid", String(node.child.pid), "--fsize=1:1"]).status).toBe(0);
      expect(await link.ask(init)).toBeUndefined();
      const { code, stderr } = await node.ended;
      expect(code).toBe(1);
      expect(stderr).toContain("the engine failed");
    },
  );

  test.each(["SIGTERM", "SIGINT"] as const)("%s closes connections and ends with status 0", async (signal) => {
    const node = start();
    const link = await linkTo(node);
    await link.ask({ id: 1, op: "ping" });
    node.child.kill(signal);
    expect(await link.next()).toBeUndefined();
    expect(await node.ended).toMatchObject({ code: 0, signal: null });
  });

  test("N1: the incarnation outlives SIGKILL, an empty directory has another", async () => {
    const first = start();
    const before = await (await linkTo(first)).ask(hello);
    expect(before).toMatchObject({ id: 1, status: "ok", protocol: 1, role: "node", cluster: null, node: null });
    first.child.kill("SIGKILL");
    expect(await first.ended).toMatchObject({ signal: "SIGKILL" });
    const after = await (await linkTo(start())).ask(hello);
    expect(after?.["incarnation"]).toBe(before?.["incarnation"]);
    const other = await (await linkTo(startNode(["0", "--data-dir", "other"], folder))).ask(hello);
    expect(other?.["incarnation"]).not.toBe(before?.["incarnation"]);
  });
});

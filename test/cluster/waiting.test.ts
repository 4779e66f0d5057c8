// What a coordinator does that cannot lead, or cannot start: it says who is missing, where the leader is, or which file is to blame, and
// leaves everything as it was. And the exit status of single commands. Real processes.
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer, type AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { DirectoryInUseError, lockDirectory } from "../../shared/io/directory-lock.ts";
import { until } from "../support/cluster-process.ts";
import {
  buildProgram,
  type Ended,
  killNodes,
  killProcess,
  type NodeProcess,
  startNode,
  startProgram,
} from "../support/node-process.ts";

let folder = "";

beforeAll(() => buildProgram());
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-waiting-"));
});
afterEach(async () => {
  await killNodes();
  fs.rmSync(folder, { recursive: true, force: true });
});

const runtime = (args: readonly string[], where = folder): NodeProcess => startProgram("runtime", args, where);

async function portOf(process: NodeProcess): Promise<number> {
  return (await process.ready).port;
}

async function said(process: NodeProcess, text: string): Promise<void> {
  await until(`"${text}" on standard error`, () => Promise.resolve(process.said().includes(text) ? true : undefined));
}

/** A coordinator with node A in it; the directory of the coordinator is `folder`. */
async function smallCluster(): Promise<{
  coordinator: NodeProcess;
  node: NodeProcess;
  address: string;
  nodePort: number;
}> {
  const coordinator = runtime(["serve", "--no-http"]);
  const address = `127.0.0.1:${await portOf(coordinator)}`;
  const node = startNode(["0", "--data-dir", "A", "--id", "A", "--join", address], folder);
  await said(node, "this node is in the cluster");
  return { coordinator, node, address, nodePort: await portOf(node) };
}

describe("a coordinator that cannot lead", () => {
  test("C1: without a majority of voters it waits, names them and the command, and leads once they are back", async () => {
    const { coordinator, node, nodePort } = await smallCluster();
    await killProcess(coordinator);
    await killProcess(node);
    const next = runtime(["serve", "--no-http"]);
    expect((await next.ready).line).toMatch(/^runtime listening on 127\.0\.0\.1:\d+ http=off role=waiting$/);
    await said(next, `127.0.0.1:${nodePort}: ./node_server ${nodePort}`);
    const refused = await runtime(["get", "apple", "--connect", `127.0.0.1:${await portOf(next)}`]).ended;
    expect(refused).toMatchObject({ code: 3, stdout: "" });
    expect(refused.stderr).toContain(`127.0.0.1:${nodePort}`);
    await startNode([String(nodePort), "--data-dir", "A"], folder).ready;
    await said(next, '"role":"leader"');
  });

  test("C11: beside a living leader it stands by, says where the leader is, and passes commands on", async () => {
    const { address, nodePort } = await smallCluster();
    fs.mkdirSync(path.join(folder, "elsewhere"));
    const second = runtime(["serve", "--no-http", "--join", `127.0.0.1:${nodePort}`], path.join(folder, "elsewhere"));
    expect((await second.ready).line).toMatch(/ role=standby$/);
    await said(second, `"leader":"${address}"`);
    const put = await runtime(["put", "apple", "123", "--connect", `127.0.0.1:${await portOf(second)}`]).ended;
    expect(put).toMatchObject({ code: 0, stderr: "" });
  });
});

test("V5: coordinators that run from one cluster file have a voter record each, and give it back", async () => {
  const { coordinator } = await smallCluster();
  expect((await runtime(["serve", "--no-http"]).ready).line).toMatch(/ role=standby$/);
  const place = (name: string): string => path.join(folder, "data", `cluster.json.${name}.lock`);
  await expect(lockDirectory(place("voter"))).rejects.toThrow(DirectoryInUseError);
  await expect(lockDirectory(place("voter-2"))).rejects.toThrow(DirectoryInUseError);
  await killProcess(coordinator);
  await (await lockDirectory(place("voter"))).release();
});

describe("a start that cannot be", () => {
  async function refusal(...args: string[]): Promise<Ended & { lines: string[] }> {
    const ended = await runtime(args).ended;
    return { ...ended, lines: ended.stderr.trimEnd().split("\n") };
  }

  test.each(["no json", "null", '{"format":1}', '{"format":1,"cluster":"x","addresses":[7]}'])(
    "a cluster file that holds %j is named and left alone",
    async (text) => {
      const file = path.join(folder, "cluster.json");
      fs.writeFileSync(file, text);
      const { code, stdout, stderr } = await refusal("serve", "--cluster-file", "cluster.json");
      expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
      expect(stderr.trimEnd()).toMatch(/^runtime: cluster\.json is damaged.*--join host:port of any node$/);
      expect(fs.readFileSync(file, "utf8")).toBe(text);
    },
  );

  test("a cluster file of a newer version, and a directory that cannot be written, are said in a line", async () => {
    fs.writeFileSync(path.join(folder, "newer.json"), '{"format":2}');
    expect((await refusal("serve", "--cluster-file", "newer.json")).lines).toEqual([
      "runtime: newer.json has format 2: a newer version of holdfast wrote it",
    ]);
    const blocked = await refusal("serve", "--cluster-file", "newer.json/deeper/cluster.json");
    expect(blocked.lines).toEqual([
      expect.stringMatching(/^runtime: newer\.json\/deeper cannot be written \(.*--cluster-file$/),
    ]);
  });

  test("a port that is given and taken, and flags that make no sense, are said in a line", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    const inUse = await refusal("serve", "--port", String(port));
    expect(inUse).toMatchObject({ code: 1, stdout: "" });
    expect(inUse.lines).toEqual([expect.stringContaining(`127.0.0.1:${port} is already in use`)]);
    taken.close();
    expect(await refusal("serve", "--port", "0")).toMatchObject({ code: 2, stdout: "" });
    expect(await refusal("up", "--nodes", "none")).toMatchObject({ code: 2, stdout: "" });
  });
});

describe("single commands", () => {
  test("end with 0, 1, 2 or 3, behind any node or coordinator, or by the cluster file", async () => {
    const { nodePort } = await smallCluster();
    const status = async (...args: string[]): Promise<number | null> => (await runtime(args).ended).code;
    expect(await status("put", "apple", "123")).toBe(0);
    expect(await status("get", "apple", "--connect", `127.0.0.1:1,127.0.0.1:${nodePort}`)).toBe(0);
    expect(await status("get", "plum")).toBe(1);
    expect(await status("put", "apple", "123", "--if-absent")).toBe(1);
    expect(await status("put", "apple")).toBe(2);
    expect(await status("get", "apple", "--connect", "127.0.0.1:1")).toBe(3);
    const last = await runtime(["removenode", "A"]).ended;
    expect(last.code).toBe(1);
    expect(last.stderr).toMatch(/^Error: .*--force/);
  });

  test("C8: end with 4 where nobody can say whether it happened", async () => {
    const mute = createServer((socket) => {
      createInterface({ input: socket }).on("line", (line) => {
        const { id, op } = JSON.parse(line) as { id: number; op: string };
        const hello = { id, status: "ok", protocol: 1, role: "leader", cluster: "x", epoch: 1, valueBytesMax: 1_000 };
        if (op === "hello") socket.write(`${JSON.stringify(hello)}\n`);
      });
      socket.on("error", () => {}); // cut by a command that has given up
    }).listen(0, "127.0.0.1");
    await once(mute, "listening");
    const { port } = mute.address() as AddressInfo;
    const put = await runtime(["put", "apple", "1", "--connect", `127.0.0.1:${port}`]).ended;
    expect(put.code).toBe(4);
    expect(put.stderr).toContain("may or may not have happened");
    mute.close();
  });

  test("a port where something else speaks is no node and no coordinator", async () => {
    const web = createHttpServer((_request, response) => response.end("hello")).listen(0, "127.0.0.1");
    await once(web, "listening");
    const { port } = web.address() as AddressInfo;
    const address = `127.0.0.1:${await portOf(runtime(["serve", "--no-http"]))}`;
    const added = await runtime(["addnode", "A", String(port), "--connect", address]).ended;
    expect(added.code).toBe(3);
    expect(added.stderr).toContain(`no storage node answers at 127.0.0.1:${port}`);
    const asked = await runtime(["get", "apple", "--connect", `127.0.0.1:${port}`]).ended;
    expect(asked.code).toBe(3);
    expect(asked.stderr).toContain("is it a Holdfast port?");
    web.close();
  });
});

test("a shell on standard input ends with its first failure's status, and stops the coordinator it began with", async () => {
  const child = spawn(process.execPath, [path.resolve("runtime")], {
    cwd: folder,
    env: { ...process.env, HOLDFAST_SKIP_BUILD: "1" },
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.end("put apple 1\nnonsense\n");
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const [code] = (await once(child, "close")) as [number | null];
  expect(code).toBe(3);
  expect(stderr).toContain("addnode A 5001");
  expect(fs.readFileSync(path.join(folder, "data/logs/coordinator.log"), "utf8")).toContain('"msg":"stopped"');
});

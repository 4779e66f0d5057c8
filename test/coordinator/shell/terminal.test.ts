import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { PassThrough } from "node:stream";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { runShell } from "../../../coordinator/shell/io/shell.ts";
import type { ShellOptions } from "../../../coordinator/shell/io/shell.ts";
import { TextSink } from "./desk.ts";
import { FakeCluster } from "./fake-cluster.ts";

const CTRL_C = "\u0003";
const CTRL_D = "\u0004";

interface Seat {
  readonly type: (keys: string) => void;
  /** What the screen has been sent since the last look, without escape sequences. */
  readonly shows: (text: string | RegExp) => Promise<void>;
  readonly screen: () => string;
  readonly status: Promise<number>;
}

/** Somebody at a terminal. */
function sit(cluster: FakeCluster, options: Partial<ShellOptions> = {}): Seat {
  const input = new PassThrough();
  const output = new TextSink();
  const status = runShell({
    connect: (address) => Promise.resolve(cluster.session(address)),
    input,
    output,
    errorOutput: output,
    isTerminal: true,
    color: false,
    ...options,
  });
  let seen = 0;
  const screen = (): string => plain(output.text);
  return {
    type: (keys) => void input.write(keys),
    shows: async (text) => {
      await vi.waitFor(() => expect(screen().slice(seen)).toMatch(text), { timeout: 5_000, interval: 5 });
      seen = screen().length;
    },
    screen,
    status,
  };
}

function plain(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, "").replaceAll("\r", "");
}

function threeNodes(): FakeCluster {
  const cluster = new FakeCluster();
  for (const [index, id] of ["A", "B", "C"].entries()) cluster.addNode(id, `127.0.0.1:${5001 + index}`);
  cluster.values.set("apple", "123");
  return cluster;
}

/** Lets topology operations go on one progress line at a time. */
function stepwise(cluster: FakeCluster, lines: number): () => void {
  const waiting: (() => void)[] = [];
  cluster.progressLines = lines;
  cluster.pace = () => new Promise((resolve) => void waiting.push(resolve));
  return () => waiting.shift()?.();
}

describe("at a terminal", () => {
  test("banner, prompt, commands, exit", async () => {
    const seat = sit(threeNodes(), { info: ["Data in data/up"] });
    await seat.shows(/^Distributed KV Store with Consistent Hashing\nCommands: .*exit\nData in data\/up\n\n> $/);
    seat.type("get apple\r");
    await seat.shows(/apple -> 123\n> $/);
    seat.type("exit\r");
    expect(await seat.status).toBe(0);
  });

  test("the prompt says where one is connected", async () => {
    const seat = sit(threeNodes());
    seat.type("switch B\r");
    await seat.shows(/goes back\.\nB> $/);
    seat.type("switch\r");
    await seat.shows(/\n> $/);
    seat.type(CTRL_D);
    expect(await seat.status).toBe(0);
  });

  test("Ctrl-C clears the line; on an empty one it says how to leave, and twice in a row leaves", async () => {
    const seat = sit(threeNodes());
    await seat.shows(/> $/);
    seat.type("removenode A");
    await seat.shows(/removenode A/);
    seat.type(CTRL_C);
    await seat.shows(/\^C\n> $/);
    seat.type(CTRL_C);
    await seat.shows(/Ctrl-C again, Ctrl-D or exit leaves\)\n> $/);
    seat.type("get apple\r");
    await seat.shows(/apple -> 123\n> $/);
    seat.type(CTRL_C);
    await seat.shows(/leaves\)\n> $/);
    seat.type(CTRL_C);
    expect(await seat.status).toBe(0);
  });

  test("a notice is printed above what is being typed", async () => {
    let tell: (line: string) => void = () => undefined;
    const seat = sit(threeNodes(), {
      notices: (listener) => {
        tell = listener;
        return () => undefined;
      },
    });
    await seat.shows(/> $/);
    seat.type("get ap");
    await seat.shows(/get ap$/);
    tell("node B is down");
    await seat.shows(/\* node B is down\n> get ap$/);
    seat.type("ple\r");
    await seat.shows(/apple -> 123/);
    seat.type(CTRL_D);
    await seat.status;
  });

  test("lines pasted at once run one after the other", async () => {
    const seat = sit(threeNodes());
    seat.type("get apple\rget pear\rexit\r");
    await seat.status;
    expect(seat.screen()).toMatch(/apple -> 123\n> get pear\nKey not found: pear\n> exit\n/);
  });

  test("Tab completes commands and node ids", async () => {
    const seat = sit(threeNodes());
    await seat.shows(/> $/);
    seat.type("removen");
    seat.type("\t");
    await seat.shows(/removenode $/);
    seat.type(CTRL_C);
    seat.type("status ");
    seat.type("\t");
    seat.type("\t");
    await seat.shows(/A +B +C/);
    seat.type(CTRL_D);
    seat.type(`${CTRL_C}${CTRL_D}`);
    await seat.status;
  });

  test("a lost connection is told and comes back by itself; commands fail clearly meanwhile", async () => {
    const cluster = threeNodes();
    const sessions: { lose(reason: string): void }[] = [];
    let reachable = true;
    const seat = sit(cluster, {
      connect: (address) => {
        if (!reachable) return Promise.reject(new Error("connection refused"));
        const session = cluster.session(address);
        sessions.push(session);
        return Promise.resolve(session);
      },
    });
    await seat.shows(/> $/);
    reachable = false;
    sessions[0]?.lose("reset");
    await seat.shows(/Connection to the coordinator lost \(reset\)/);
    seat.type("get apple\r");
    await seat.shows(/Error: no coordinator answers: connection refused/);
    reachable = true;
    await seat.shows(/Connected again/);
    seat.type("get apple\rexit\r");
    await seat.shows(/apple -> 123/);
    await seat.status;
  });
});

describe("Ctrl-C in a long operation", () => {
  const QUESTION = /Cancel operation 1\? Slots already moved stay moved\. \[y\/N\] $/;

  test("no: it goes on to its end", async () => {
    const cluster = threeNodes();
    const step = stepwise(cluster, 2);
    const seat = sit(cluster);
    seat.type("addnode D 5004\r");
    await seat.shows(/Node added: D \(127\.0\.0\.1:5004\)\nRebalancing after adding node D\.\.\.\n/);
    seat.type(CTRL_C);
    await seat.shows(QUESTION);
    seat.type("n\r");
    step();
    await vi.waitFor(() => expect(cluster.received.at(-1)?.op).toBe("addnode"));
    await vi.waitFor(() => {
      step();
      expect(seat.screen()).toMatch(/Moved 4096 slots and 1 key in 2\.0 s/);
    });
    seat.type("exit\r");
    await seat.status;
    expect(cluster.received.map(({ op }) => op)).not.toContain("cancel");
  });

  test("yes: it is cancelled, and the outcome is waited for", async () => {
    const cluster = threeNodes();
    const step = stepwise(cluster, 3);
    const seat = sit(cluster);
    seat.type("removenode C\r");
    await seat.shows(/Rebalancing before removing node C/);
    seat.type(CTRL_C);
    await seat.shows(QUESTION);
    seat.type("Y\r");
    await vi.waitFor(() => expect(cluster.received.at(-1)).toEqual({ op: "cancel", operation: "1" }));
    await vi.waitFor(() => {
      step();
      expect(seat.screen()).toMatch(/Cancelled: removenode; slots already moved stay moved\n/);
    });
    seat.type("exit\r");
    expect(await seat.status).toBe(0);
    expect(cluster.nodes.map(({ id }) => id)).toContain("C");
  });

  test("a second one leaves it running and gives the prompt back", async () => {
    const cluster = threeNodes();
    const step = stepwise(cluster, 3);
    const seat = sit(cluster);
    seat.type("setreplica 2\r");
    await seat.shows(/Replica set to 2/);
    seat.type(CTRL_C);
    await seat.shows(QUESTION);
    seat.type(CTRL_C);
    await seat.shows(/Operation 1 goes on in the background; `ops` shows it, `cancel 1` stops it\.\n> $/);
    await vi.waitFor(() => {
      step();
      expect(seat.screen()).toMatch(/\* Operation 1 \(setreplica\): done\./);
    });
    seat.type("exit\r");
    await seat.status;
  });

  test("in a short command it stops the waiting, and a write's outcome is unknown", async () => {
    const cluster = threeNodes();
    cluster.override = (message) => (message.op === "put" ? new Promise(() => undefined) : undefined);
    const seat = sit(cluster);
    seat.type("put apple 1\r");
    await vi.waitFor(() => expect(cluster.received.at(-1)?.op).toBe("put"));
    seat.type(CTRL_C);
    await seat.shows(/The put may or may not have happened: stopped waiting for the answer; `get apple` shows\n> $/);
    seat.type("exit\r");
    await seat.status;
  });
});

test("history outlives the session, for its owner only, without lines that begin with a blank", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-history-"));
  onTestFinished(() => fs.rmSync(folder, { recursive: true }));
  const historyFile = path.join(folder, "nested", "history");
  const first = sit(threeNodes(), { historyFile });
  first.type("get apple\r secret\rexit\r");
  await first.status;
  expect(fs.readFileSync(historyFile, "utf8")).toBe("get apple\nexit\n");
  expect(fs.statSync(historyFile).mode & 0o777).toBe(0o600);
  const second = sit(threeNodes(), { historyFile });
  await second.shows(/> $/);
  second.type("\u001b[A");
  second.type("\u001b[A");
  await second.shows(/get apple$/);
  second.type("\r");
  await second.shows(/apple -> 123/);
  second.type(CTRL_D);
  await second.status;
});

// Up: a whole cluster from one command. Starts storage nodes as child processes on free ports from 5001, in data directories by node id,
// and adds those that a fresh cluster lacks. The children are stopped with the shell; ones that die are announced.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { openSession } from "../shared/client/session.ts";
import { KvError } from "../shared/errors.ts";
import type { NodeId } from "../shared/ids.ts";

const FIRST_PORT = 5001;
const STOP_MS_MAX = 5_000;
const RETRY_MS = 100;
const RETRIES_MAX = 100;
const ADD_TIMEOUT_MS = 10_000;
/** dist/coordinator/up.js → the command at the top. */
const NODE_SERVER = fileURLToPath(new URL("../../node_server", import.meta.url));

export interface UpNode {
  readonly id: NodeId;
  readonly address: string;
  readonly child: ChildProcess;
}

/** Starts nodes A, B, C, … and waits until each is ready. @throws KvError when one cannot start */
export async function startNodes(count: number, directory: string, died: (text: string) => void): Promise<UpNode[]> {
  const nodes: UpNode[] = [];
  let port = FIRST_PORT;
  try {
    for (let index = 0; index < count; index++) {
      port = await freePort(port);
      nodes.push(await startNode(nodeName(index), port, directory, died));
      port++;
    }
  } catch (error) {
    await stopNodes(nodes);
    throw error;
  }
  return nodes;
}

/** A, B, …, Z, then N27, N28, … */
function nodeName(index: number): NodeId {
  return (index < 26 ? String.fromCharCode(65 + index) : `N${index + 1}`) as NodeId;
}

async function freePort(first: number): Promise<number> {
  for (let port = first; port < 65_536; port++) {
    const probe = createServer();
    probe.listen(port, "127.0.0.1");
    const free = await once(probe, "listening").then(
      () => true,
      () => false,
    );
    if (!free) continue;
    probe.close();
    await once(probe, "close");
    return port;
  }
  throw new KvError("NODE_UNREACHABLE", `no free port from ${first} on`);
}

async function startNode(id: NodeId, port: number, directory: string, died: (text: string) => void): Promise<UpNode> {
  const data = path.join(directory, id);
  const args = [NODE_SERVER, String(port), "--data-dir", data, "--id", id];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"], detached: true });
  const ready = once(createInterface({ input: child.stdout }), "line");
  const gone = once(child, "exit");
  const outcome = await Promise.race([ready.then(() => "ready"), gone.then(() => "gone")]);
  if (outcome === "gone")
    throw new KvError("NODE_UNREACHABLE", `node ${id} did not start: try ./node_server ${port} --data-dir ${data}`);
  void gone.then(([code, signal]: unknown[]) => {
    const restart = `./node_server ${port} --data-dir ${data}`;
    if (signal !== "SIGTERM") died(`node ${id} died (${String(signal ?? code)}); start it again with: ${restart}`);
  });
  return { id, address: `127.0.0.1:${port}`, child };
}

/** Adds the nodes that the cluster does not have yet, once a leader answers. */
export async function addMissing(coordinator: string, nodes: readonly UpNode[]): Promise<void> {
  for (const { id, address } of nodes) {
    for (let attempt = 0; ; attempt++) {
      const session = await openSession(coordinator, { timeoutMs: ADD_TIMEOUT_MS });
      try {
        await session.call({ op: "addnode", node: id, address });
        break;
      } catch (error) {
        const { code } = error as KvError;
        if (code === "NODE_EXISTS") break;
        if (code !== "NO_LEADER" || attempt >= RETRIES_MAX) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      } finally {
        await session.close();
      }
    }
  }
}

/** SIGTERM, and SIGKILL for whoever does not end in time: nothing acknowledged is lost either way. */
export async function stopNodes(nodes: readonly UpNode[]): Promise<void> {
  await Promise.all(
    nodes.map(async ({ child }) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, "exit");
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
      await gone;
      clearTimeout(timer);
    }),
  );
}

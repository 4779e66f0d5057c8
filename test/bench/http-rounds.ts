// HTTP rounds: our REST and etcd's HTTP/JSON API under the same tool, `wrk`, with the same keys and values. etcd's range is a
// linearizable read by default, as our get at level quorum is.
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { rateOf, type Row, rowOf } from "./figures.ts";
import type { RunFigures } from "./load-process.ts";
import { cpuSeconds } from "./process-figures.ts";
import { short } from "./figure-text.ts";
import type { Plan } from "./rounds.ts";
import type { Store } from "./store.ts";
import { VALUE_BYTES, valueOf } from "./workload.ts";

type Work = "put" | "get";

const CONNECTIONS = [64, 256];
/** Few, so that the puts before have written what the gets ask for. */
export const HTTP_KEYS = 10_000;
/** A connection that waits longer counts as a time-out of wrk's. */
const TIMEOUT = "10s";

export function hasWrk(): boolean {
  return spawnSync("wrk", ["--version"]).error === undefined;
}

/** One row a kind of work and number of connections. */
export async function measureHttp(stores: readonly Store[], plan: Plan): Promise<Row[]> {
  const rows: Row[] = [];
  for (const work of ["put", "get"] as const) {
    for (const connections of CONNECTIONS) {
      const name = `HTTP ${work}, ${connections} connections`;
      const runs: Record<string, RunFigures[]> = {};
      for (let round = 1; round <= plan.rounds; round++) {
        for (const store of stores) {
          if (store.http === null) continue;
          const figures = await wrk(store, { work, connections, seconds: plan.measureMs / 1_000 });
          (runs[store.name] ??= []).push(figures);
          plan.note(`${name} · round ${round} · ${store.name}: ${short(rateOf(figures))}/s`);
        }
      }
      rows.push(rowOf(name, runs));
    }
  }
  return rows;
}

/** One run of wrk: CPU of the store's processes is taken over its whole time. */
async function wrk(
  { name, http, roles }: Store,
  asked: { readonly work: Work; readonly connections: number; readonly seconds: number },
): Promise<RunFigures> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-bench-wrk-"));
  const script = path.join(folder, "load.lua");
  fs.writeFileSync(script, scriptOf(name, asked.work));
  const { connections, seconds } = asked;
  const args = ["-t1", `-c${connections}`, `-d${Math.max(1, Math.round(seconds))}s`, "--timeout", TIMEOUT];
  try {
    const before = roles.map(({ pid }) => cpuSeconds(pid));
    const text = await outputOf("wrk", [...args, "-s", script, http ?? ""]);
    const spent = roles.map(({ pid }, index) => cpuSeconds(pid) - (before[index] ?? 0));
    const said = JSON.parse(text.slice(text.lastIndexOf(`{"operations"`))) as Omit<RunFigures, "cpu">;
    const errors = Object.fromEntries(Object.entries(said.errors).filter(([, count]) => count > 0));
    const measured = { ...said, errors };
    const cpu: Record<string, number> = {};
    roles.forEach(({ role }, index) => {
      cpu[role] = (cpu[role] ?? 0) + ((spent[index] ?? 0) * 1e6) / Math.max(1, measured.operations);
    });
    return { ...measured, cpu };
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

async function outputOf(command: string, args: readonly string[]): Promise<string> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  return await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve(text) : reject(new Error(`${command} ended with ${code}`))));
  });
}

/** Random keys and one value; at the end one line of JSON with what wrk counted, in our terms. */
function scriptOf(store: string, work: Work): string {
  const request = store === "etcd" ? etcdRequest(work) : ourRequest(work);
  return `
math.randomseed(os.time())
local value = "${valueOf(VALUE_BYTES)}"
local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local function base64(text) -- of texts whose length is a multiple of three
  return (text:gsub("...", function(three)
    local a, b, c = three:byte(1, 3)
    local bits = a * 65536 + b * 256 + c
    local letters = {}
    for shift = 3, 0, -1 do
      local at = math.floor(bits / 64 ^ shift) % 64 + 1
      letters[#letters + 1] = alphabet:sub(at, at)
    end
    return table.concat(letters)
  end))
end
local function key() return string.format("key:%08d", math.random(0, ${HTTP_KEYS - 1})) end -- twelve characters
${request}
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('{"operations":%d,"seconds":%f,"p50Ms":%f,"p99Ms":%f,"p999Ms":%f,"maxMs":%f,"errors":%s}\\n',
    summary.requests - e.status, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency:percentile(99.9) / 1e3, latency.max / 1e3, errors(e)))
end
`;
}

/** Keys as `keyOf` names them: thirteen characters. */
function ourRequest(work: Work): string {
  const headers = `{["Content-Type"] = "application/json"}`;
  const body = `'{"value":"' .. value .. '"}'`;
  const put = `wrk.format("PUT", "/keys/key:0" .. key():sub(5), ${headers}, ${body})`;
  const call = work === "put" ? put : `wrk.format("GET", "/keys/key:0" .. key():sub(5))`;
  return `function request() return ${call} end\n${ERRORS}`;
}

function etcdRequest(work: Work): string {
  const [where, body] =
    work === "put"
      ? ["put", `'{"key":"' .. base64(key()) .. '","value":"' .. encoded .. '"}'`]
      : ["range", `'{"key":"' .. base64(key()) .. '"}'`];
  const call = `wrk.format("POST", "/v3/kv/${where}", {["Content-Type"] = "application/json"}, ${body})`;
  return `local encoded = base64(value:sub(1, ${VALUE_BYTES - (VALUE_BYTES % 3)}))\nfunction request() return ${call} end\n${ERRORS}`;
}

const ERRORS = `
function errors(e)
  return string.format('{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}', e.connect, e.read, e.write, e.status, e.timeout)
end`;

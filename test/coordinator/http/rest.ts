// REST under test: storage nodes as real processes, a real coordinator with its HTTP server in this process, and requests over real sockets.
// Every answer is judged by the API's own description before a test looks at it.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { CoordinatorServer } from "../../../coordinator/server.ts";
import { HTTP_TIMEOUTS, startHttp, type HttpOptions, type HttpServer } from "../../../coordinator/http/http-server.ts";
import type { OpenLocal } from "../../../coordinator/http/backend.ts";
import { EventLog } from "../../../coordinator/http/events.ts";
import { noInsight } from "../../../coordinator/http/insight.ts";
import { VALUE_BYTES_MAX_DEFAULT } from "../../../shared/limits.ts";
import { buildProgram, killProcess, startNode, type NodeProcess } from "../../support/node-process.ts";
import { Contract } from "./contract.ts";

export interface Asked {
  readonly headers?: Readonly<Record<string, string>>;
  /** An object goes as JSON. */
  readonly body?: object | string | Uint8Array;
}

/** An answer, read to its end and judged. */
export interface Got {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  readonly text: string;
  /** The JSON body. */
  readonly json: Record<string, unknown>;
}

const WAIT_MS_MAX = 60_000;
const POLL_MS = 10;

/** By their text: making one takes longer than most tests. */
const contracts = new Map<string, Contract>();

/** A served API. */
export class Api {
  readonly server: HttpServer;
  readonly #contract: Contract;

  static async of(server: HttpServer): Promise<Api> {
    const text = await (await fetch(`http://${server.address}/openapi.json`)).text();
    const contract = contracts.get(text) ?? new Contract(JSON.parse(text));
    contracts.set(text, contract);
    return new Api(server, contract);
  }

  private constructor(server: HttpServer, contract: Contract) {
    this.server = server;
    this.#contract = contract;
  }

  get document(): Contract["document"] {
    return this.#contract.document;
  }

  async ask(method: string, target: string, { headers, body }: Asked = {}): Promise<Got> {
    const bytesOrText = body instanceof Uint8Array || typeof body === "string" || body === undefined;
    const response = await fetch(`http://${this.server.address}${target}`, {
      method,
      redirect: "manual",
      headers: { ...(!bytesOrText && { "content-type": "application/json" }), ...headers },
      body: bytesOrText ? ((body as string | undefined) ?? null) : JSON.stringify(body),
    });
    const bytes = Buffer.from(await response.arrayBuffer());
    const exchange = {
      method,
      path: target.split("?")[0] ?? "",
      status: response.status,
      headers: response.headers,
      bytes,
    };
    expect(
      this.#contract.complaints(exchange),
      `${method} ${target}: ${response.status} ${bytes.toString().slice(0, 400)}`,
    ).toEqual([]);
    expect(response.headers.get("x-request-id")).toMatch(/^[\w.:-]+$/);
    const text = bytes.toString();
    const isJson = /json/.test(response.headers.get("content-type") ?? "") && text !== "";
    return {
      status: response.status,
      headers: response.headers,
      bytes,
      text,
      json: isJson ? (JSON.parse(text) as Got["json"]) : {},
    };
  }

  get(target: string, headers: Readonly<Record<string, string>> = {}): Promise<Got> {
    return this.ask("GET", target, { headers });
  }

  put(target: string, body: NonNullable<Asked["body"]>, headers: Readonly<Record<string, string>> = {}): Promise<Got> {
    return this.ask("PUT", target, { headers, body });
  }
}

/** Serves a coordinator that says what the test wants. Closed by `closeAll`. */
export async function serveScript(open: OpenLocal, options: Partial<HttpOptions> = {}): Promise<Api> {
  const server = await startHttp({
    host: "127.0.0.1",
    port: 0,
    valueBytesMax: VALUE_BYTES_MAX_DEFAULT,
    version: "0.0.0",
    open,
    report: () => {},
    timeouts: { ...HTTP_TIMEOUTS, drainMs: 300 },
    ...options,
  });
  closers.push(() => server.close());
  return await Api.of(server);
}

/** Answers every message with the same line. */
export function always(answer: object): OpenLocal {
  return (answered) => ({
    send: ({ id }) => {
      setImmediate(() => answered({ id, ...answer }));
      return true;
    },
    close: () => {},
  });
}

const closers: (() => Promise<unknown>)[] = [];

/** Ends whatever was started, the latest first. */
export async function closeAll(): Promise<void> {
  for (const close of closers.splice(0).reverse()) await close();
}

/** A coordinator with REST in this process, and nodes in their own. Closed by `closeAll`. */
export class RestCluster {
  readonly folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-rest-"));
  readonly reports: string[] = [];
  readonly events = new EventLog();
  readonly coordinator: CoordinatorServer;
  readonly nodes: NodeProcess[] = [];
  #api: Api | undefined;

  /** @param nodes Storage nodes to start and add: A, B, … */
  static async start(nodes: number, options: Partial<HttpOptions> = {}): Promise<RestCluster> {
    buildProgram();
    const cluster = new RestCluster();
    closers.push(() => cluster.#close());
    await cluster.#open(options);
    for (let index = 0; index < nodes; index++)
      await cluster.add(String.fromCharCode(65 + index), await cluster.startNode());
    return cluster;
  }

  private constructor() {
    this.coordinator = new CoordinatorServer({
      host: "127.0.0.1",
      port: 0,
      clusterFile: path.join(this.folder, "cluster.json"),
      join: [],
      valueBytesMax: VALUE_BYTES_MAX_DEFAULT,
      role: (news) => this.events.role(news, this.coordinator.address),
      notice: (about, text) => this.events.notice(about, text),
      failed: (error) => {
        throw error;
      },
    });
  }

  get api(): Api {
    if (!this.#api) throw new Error("not started");
    return this.#api;
  }

  /** Starts a node. @returns its address */
  async startNode(): Promise<string> {
    const node = startNode(["0", "--data-dir", `node-${this.nodes.length}`], this.folder);
    this.nodes.push(node);
    return `127.0.0.1:${(await node.ready).port}`;
  }

  /** Adds a node over REST and follows the operation to its end. */
  async add(id: string, address: string): Promise<void> {
    await this.follow(await this.api.ask("POST", "/admin/nodes", { body: { id, address } }));
  }

  /** Follows an accepted operation until it ended well. */
  async follow(answer: Got): Promise<Record<string, unknown>> {
    if (answer.status === 200) return answer.json;
    expect(answer.status, answer.text).toBe(202);
    const location = answer.headers.get("location") ?? "";
    const ended = await this.until(async () => {
      const { json } = await this.api.get(location);
      return ["done", "failed", "cancelled"].includes(String(json["phase"])) && json;
    });
    return ended;
  }

  /** Waits until something is so. */
  async until<T>(look: () => Promise<T | false>): Promise<T> {
    for (const started = performance.now(); performance.now() - started < WAIT_MS_MAX; await sleep(POLL_MS)) {
      const seen = await look();
      if (seen !== false) return seen;
    }
    throw new Error(`it did not happen within ${WAIT_MS_MAX} ms`);
  }

  async #open(options: Partial<HttpOptions>): Promise<void> {
    await this.coordinator.start();
    const report = (text: string, error: unknown): void => void this.reports.push(`${text}: ${String(error)}`);
    const { coordinator, events } = this;
    const insight = { ...noInsight(), series: () => coordinator.series(), gauges: () => coordinator.gauges(), events };
    this.#api = await serveScript((answered) => coordinator.local(answered), { report, insight, ...options });
  }

  async #close(): Promise<void> {
    await this.coordinator.stop();
    await Promise.all(this.nodes.map((node) => killProcess(node)));
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

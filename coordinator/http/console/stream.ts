// Stream: `GET /console/events`, the server-sent events that keep a console page current. From this coordinator's own feed while it leads,
// passed on from the leader while another one does, and otherwise a word about why there is nothing to show; from one to the other without
// the page having to do anything. Every beginning is whole: what a page had before is replaced.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { FastifyReply, FastifyRequest } from "fastify";
import { KvError } from "../../../shared/errors.ts";
import type { Backend } from "../backend.ts";
import type { Insight } from "../insight.ts";
import { Feed } from "./feed.ts";
import { frameText } from "./frames.ts";
import { relayStream, wasRelayed } from "./relay.ts";

export const STREAM_PATH = "/console/events";
const STREAMS_MAX = 64;
/** Between two attempts to find somebody to show. */
const AGAIN_MS = 250;
/** A page that takes its frames this slowly is cut off; it comes back. */
const OUTPUT_BYTES_MAX = 8 * 1024 * 1024;

export class Streams {
  readonly #backend: Backend;
  readonly #feed: Feed;
  readonly #insight: Insight;
  readonly #open = new Set<ServerResponse>();
  #closed = false;

  constructor(backend: Backend, insight: Insight) {
    this.#backend = backend;
    this.#insight = insight;
    this.#feed = new Feed(backend, insight);
  }

  /** Answers until the page goes or the server closes. @throws KvError OVERLOADED */
  async serve(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    if (this.#open.size >= STREAMS_MAX)
      throw new KvError("OVERLOADED", `${STREAMS_MAX} console pages are open at this coordinator: close some`);
    reply.hijack();
    const output = reply.raw;
    this.#open.add(output);
    output.once("close", () => this.#open.delete(output));
    const headers = { ...reply.getHeaders(), "content-type": "text/event-stream", "cache-control": "no-store" };
    output.writeHead(200, headers as Record<string, string>);
    const relayed = wasRelayed(request);
    if (relayed) output.flushHeaders();
    else output.write("retry: 500\n\n");
    await this.#follow(output, { relayed });
    output.end();
  }

  /** Ends all of them. */
  close(): void {
    this.#closed = true;
    for (const output of this.#open) output.end();
  }

  async #follow(output: ServerResponse, options: { readonly relayed: boolean }): Promise<void> {
    while (this.#goesOn(output)) {
      try {
        await this.#backend.call<"ops">({ op: "ops" });
        await this.#watch(output);
        if (options.relayed) return; // whoever passed it on looks for the leader itself
      } catch (error) {
        if (options.relayed) return;
        await this.#elsewhere(output, error);
      }
      if (this.#goesOn(output)) await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  #goesOn(output: ServerResponse): boolean {
    return !this.#closed && !output.destroyed && !output.writableEnded;
  }

  /** This coordinator leads: until it does not, or the page goes. */
  async #watch(output: ServerResponse): Promise<void> {
    await new Promise<void>((resolve) => {
      const end = (): void => {
        unwatch();
        output.off("close", end);
        resolve();
      };
      const unwatch = this.#feed.watch({ send: (text) => send(output, text), ended: end });
      output.once("close", end);
    });
  }

  /** Another one leads, or none. Never rejects. */
  async #elsewhere(output: ServerResponse, error: unknown): Promise<void> {
    const leaderHttp = error instanceof KvError ? error.details["leaderHttp"] : undefined;
    if (typeof leaderHttp !== "string") return this.#standing(output, error);
    let shown = false;
    try {
      for await (const chunk of await this.#upstream(leaderHttp, output)) {
        shown = true;
        send(output, chunk as Buffer);
      }
      // A frame that was cut short must not swallow the next one.
      send(output, "\n\n");
    } catch (failure) {
      send(output, "\n\n");
      if (failure instanceof KvError) return this.#standing(output, failure);
    }
    // It does not lead either (any more), whatever we take it for.
    if (!shown) this.#standing(output, error);
  }

  /** The leader's stream; ends with the page's. @throws KvError */
  async #upstream(leaderHttp: string, output: ServerResponse): Promise<IncomingMessage> {
    const upstream = await relayStream(leaderHttp, STREAM_PATH, this.#insight.credentials);
    const gone = (): void => void upstream.destroy();
    output.once("close", gone);
    upstream.once("close", () => output.off("close", gone));
    return upstream;
  }

  #standing(output: ServerResponse, error: unknown): void {
    const { code, message } = error instanceof KvError ? error : new KvError("INTERNAL", String(error));
    const role = code === "NO_CLUSTER" ? "new" : code === "NOT_LEADER" ? "standby" : "waiting";
    send(output, frameText({ event: "standing", data: { role, message } }));
  }
}

function send(output: ServerResponse, data: string | Buffer): void {
  if (output.destroyed || output.writableEnded) return;
  if (output.writableLength > OUTPUT_BYTES_MAX) output.destroy();
  else output.write(data);
}

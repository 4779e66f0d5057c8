// Backend: what REST stands on. Every REST call becomes one message of the coordinator protocol (client-messages.ts), answered by the
// same core that answers NDJSON clients, so both have the same rules and outcomes (C8, C11). Each call is a client of its own; the
// operations of one batch are one client's, so those on one key keep their order.
// Does not retry and does not follow the leader: a refusal goes to whoever asked over HTTP.
import { errorOf, type AnswerTo, type SessionMessage } from "../../shared/client/answers.ts";
import { KvError } from "../../shared/errors.ts";
import { DEADLINE_MS_DEFAULT } from "../../shared/limits.ts";
import type { DirectReadRequest } from "../../shared/protocol/node-messages.ts";
import type { LocalClient } from "../server.ts";

/** Any request of the coordinator protocol, without its id. */
export type Message = Exclude<SessionMessage, Omit<DirectReadRequest, "id">>;
export type DataMessage = Extract<Message, { op: "put" | "delete" | "get" }>;

/** An answer as it came: its fields are those of the operation's answer. */
export type Answered = Readonly<Record<string, unknown>>;

export interface Backend {
  /**
   * Asks once. A topology operation resolves with its first line, which says what to follow.
   * @throws KvError
   */
  call<Op extends Message["op"]>(message: Message & { readonly op: Op }): Promise<AnswerTo<Op>>;
  /** Operations of one client, in this order; an answer or a refusal for each. Never rejects. */
  batch(messages: readonly DataMessage[]): Promise<readonly (Answered | KvError)[]>;
  /** Asks for what is answered by line after line. @param told Gets each of them; the last is `done`, or a KvError. */
  follow(message: Message & { readonly op: "repair" }, told: (line: Answered | KvError) => void): void;
}

/** What a coordinator offers to clients in its own process. */
export type OpenLocal = (answered: (message: Answered) => void) => LocalClient;

/** The core answers at the deadline at the latest; beyond that and this, something is wrong with it. */
const GRACE_MS = 3_000;
/** Topology operations are first said back when the cluster's state has them. */
const TOPOLOGY_MS = 15_000;

/** The backend of a coordinator in this process. */
export function localBackend(open: OpenLocal): Backend {
  return {
    call: async (message) => {
      const [result] = await exchange(open, [message]);
      if (result instanceof KvError) throw result;
      return result as never; // what answers an operation is the protocol's table (AnswerTo)
    },
    batch: (messages) => exchange(open, messages),
    follow: (message, told) => follow(open, message, told),
  };
}

/** Without a deadline: a repair takes as long as there is data, and ends with the leadership at the latest. */
function follow(open: OpenLocal, message: Message, told: (line: Answered | KvError) => void): void {
  const client = open((answer) => {
    const line = answer["status"] === "ok" ? answer : errorOf(answer, "the coordinator");
    if (line instanceof KvError || line["done"] === true) client.close();
    told(line);
  });
  if (client.send({ ...message, id: 0 })) return;
  client.close();
  told(notServing());
}

function exchange(open: OpenLocal, messages: readonly Message[]): Promise<(Answered | KvError)[]> {
  return new Promise((resolve) => {
    const results = new Map<number, Answered | KvError>();
    const settle = (id: number, result: Answered | KvError): void => {
      if (results.has(id)) return;
      results.set(id, result);
      if (results.size < messages.length) return;
      clearTimeout(timer);
      client.close();
      resolve(messages.map((_, index) => results.get(index) as Answered | KvError));
    };
    const client = open((answer) => {
      settle(Number(answer["id"]), answer["status"] === "ok" ? answer : errorOf(answer, "the coordinator"));
    });
    const limitMs = Math.max(...messages.map(limitOf)) + GRACE_MS;
    const timer = setTimeout(() => {
      const late = new KvError("TIMEOUT", `no answer within ${limitMs} ms; it may have been carried out`);
      for (const id of messages.keys()) settle(id, late);
    }, limitMs);
    for (const [id, message] of messages.entries()) {
      if (!client.send({ ...message, id })) settle(id, notServing());
    }
  });
}

function notServing(): KvError {
  return new KvError("SHUTTING_DOWN", "this coordinator is starting or stopping; nothing was sent");
}

function limitOf(message: Message): number {
  if ("timeoutMs" in message && message.timeoutMs !== undefined) return message.timeoutMs;
  return message.op === "addnode" || message.op === "removenode" || message.op === "setreplica"
    ? TOPOLOGY_MS
    : DEADLINE_MS_DEFAULT;
}

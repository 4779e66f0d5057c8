// Credentials: how a process shows who it is to the port that it dials: a token, in the first `hello`, and a certificate. Links between
// processes of a cluster send that hello by themselves (greeting); a client's session has it in its own first message.
import { PROTOCOL_VERSIONS } from "../protocol/version.ts";
import type { TlsMaterial } from "./sockets.ts";

export interface Credentials {
  /** Presented to whoever is dialled; undefined where the cluster asks for none. */
  readonly token?: string | undefined;
  /** Undefined: plain TCP. */
  readonly tls?: TlsMaterial | undefined;
}

/** Requests of our own links count from 1. */
export const GREETING_ID = 0;

/** The line that opens a port that asks for a token. */
export function greeting(token: string): object {
  return { id: GREETING_ID, op: "hello", versions: PROTOCOL_VERSIONS, token };
}

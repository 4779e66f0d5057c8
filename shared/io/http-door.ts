// HTTP door: who may ask what over HTTP, of a coordinator and of a node alike. Looked at before a body is read, in this order:
//
// - Host, where no token is asked for: it has to name this machine. A page of another site that gave its own name our address (DNS
//   rebinding) would otherwise be "our" page. With a token that gains nothing: a browser keeps what it was told by name.
// - Origin: whatever a page of another site sends is refused, also what it may send without asking (a form, a beacon): on a browser that
//   knows a token or has a certificate it would act in that person's name.
// - Authorization: the token, as `Bearer` for programs or as the password of `Basic`, for which a browser asks by itself, so that the
//   console needs no login page. A reader's token is good for what changes nothing: GET and HEAD.
//
// `/livez` and `/readyz` are open to everybody: what restarts processes knows no token, and they tell nothing but that.
import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import os from "node:os";
import type { Role } from "../access.ts";
import { KvError } from "../errors.ts";
import type { KeyRing } from "./tokens.ts";

/** For WWW-Authenticate of a 401. */
export const CHALLENGE = 'Basic realm="holdfast", charset="UTF-8", Bearer realm="holdfast"';

export interface HttpDoorOptions {
  /** Undefined: no token is asked for. */
  readonly keys: KeyRing | undefined;
  /** Names under which this process is reached, beside `localhost`, numbers and the machine's own name. */
  readonly names: readonly string[];
}

export interface RequestHead {
  readonly method: string;
  /** With its query, or without. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

const PROBES: ReadonlySet<string> = new Set(["/livez", "/readyz"]);
const SAFE: ReadonlySet<string> = new Set(["GET", "HEAD"]);

export class HttpDoor {
  readonly #keys: KeyRing | undefined;
  readonly #names: ReadonlySet<string>;

  constructor({ keys, names }: HttpDoorOptions) {
    this.#keys = keys;
    this.#names = new Set([...names, os.hostname(), "localhost"].map((name) => name.toLowerCase()));
  }

  /** Why this request is not carried out: UNAUTHORIZED, FORBIDDEN; undefined where it may be. */
  refusal({ method, url, headers }: RequestHead): KvError | undefined {
    const safe = SAFE.has(method);
    if (this.#keys === undefined && !this.#isOurs(headers.host))
      return new KvError(
        "FORBIDDEN",
        "Host: no name of this server; use its address, localhost or its advertised name",
      );
    if (isForeign(headers, safe))
      return new KvError("FORBIDDEN", "Origin: pages of other sites may not ask this server");
    if (this.#keys === undefined || (safe && PROBES.has(url.split("?", 1)[0] ?? ""))) return undefined;
    const role = roleOf(this.#keys, headers.authorization);
    if (role === undefined) return unauthorized(headers.authorization !== undefined);
    if (role === "admin" || safe) return undefined;
    return new KvError("FORBIDDEN", `${method}: this token can only read; use one of an admin`);
  }

  /** Without a Host field, as in HTTP/1.0, no browser asks. */
  #isOurs(host: string | undefined): boolean {
    if (host === undefined) return true;
    const name = host.replace(/:\d*$/, "").toLowerCase();
    return isIP(name.replace(/^\[(.*)\]$/, "$1")) !== 0 || this.#names.has(name);
  }
}

/** Whether a page of another site made the browser ask. */
function isForeign({ origin, host, ...headers }: IncomingHttpHeaders, safe: boolean): boolean {
  if (origin !== undefined) return originHost(origin) !== host?.toLowerCase();
  const site = headers["sec-fetch-site"];
  // A link that leads here comes from another site too, and is harmless.
  return !safe && (site === "cross-site" || site === "same-site");
}

/** Undefined for what is no origin, `null` included. */
function originHost(origin: string): string | undefined {
  return /^https?:\/\/([^/]+)$/.exec(origin.toLowerCase())?.[1];
}

function roleOf(keys: KeyRing, authorization: string | undefined): Role | undefined {
  const [, scheme = "", value = ""] = /^(\w+) +(\S+) *$/.exec(authorization ?? "") ?? [];
  if (scheme.toLowerCase() === "bearer") return keys.roleOf(value);
  if (scheme.toLowerCase() !== "basic") return undefined;
  const text = Buffer.from(value, "base64").toString("utf8");
  return keys.roleOf(text.slice(text.indexOf(":") + 1));
}

function unauthorized(presented: boolean): KvError {
  const why = presented ? "the token is none of this cluster's" : "this server asks for a token";
  return new KvError("UNAUTHORIZED", `${why}; send Authorization: Bearer <token>, or as the password of Basic`);
}

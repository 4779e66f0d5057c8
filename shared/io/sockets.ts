// Sockets: plain TCP or TLS, behind one face. With TLS both ends show a certificate of the cluster's own authority, and whoever dials checks
// that the certificate names the host it dialled; nothing older than TLS 1.2 is spoken. What travels inside is none of this file's business.
import { connect, createServer, isIP, type Server, type Socket } from "node:net";
import {
  type ConnectionOptions,
  connect as connectTls,
  createServer as createTlsServer,
  type TlsOptions,
} from "node:tls";
import type { Address } from "./address.ts";

/** PEM texts. */
export interface TlsMaterial {
  /** Certificates of the authorities whose certificates the other end may show. */
  readonly ca: string;
  /** Shown to the other end, with the key that it belongs to. */
  readonly cert: string;
  readonly key: string;
}

/** An end that began TLS and does not get on with it is cut. */
const HANDSHAKE_MS_MAX = 10_000;

/** What a server of any protocol needs to speak TLS to certified clients only. */
export function tlsServerOptions({ ca, cert, key }: TlsMaterial): TlsOptions {
  const handshake = { handshakeTimeout: HANDSHAKE_MS_MAX, minVersion: "TLSv1.2" } as const;
  return { ca, cert, key, requestCert: true, rejectUnauthorized: true, ...handshake };
}

/** What a client of any protocol needs for it. @param host Whom the certificate must name. */
export function tlsClientOptions({ ca, cert, key }: TlsMaterial, host: string): ConnectionOptions {
  // An IP number cannot be asked for by name (RFC 6066); it is checked against the certificate all the same.
  return { ca, cert, key, minVersion: "TLSv1.2", ...(isIP(host) === 0 && { servername: host }) };
}

/** A socket on its way to an address. Errors are the socket's. */
export interface Dialled {
  readonly socket: Socket;
  /** Its event when data can be sent: with TLS, when the other end has proved who it is. */
  readonly ready: "connect" | "secureConnect";
}

/** @param tls Undefined: plain TCP. */
export function dial(address: Address, tls: TlsMaterial | undefined): Dialled {
  const plain = { ...address, allowHalfOpen: true };
  if (tls === undefined) return { socket: connect(plain), ready: "connect" };
  return { socket: connectTls({ ...plain, ...tlsClientOptions(tls, address.host) }), ready: "secureConnect" };
}

/**
 * A server that does not listen yet.
 * @param accept Called with every socket, with TLS once its certificate was found good.
 */
export function serve(tls: TlsMaterial | undefined, accept: (socket: Socket) => void): Server {
  // allowHalfOpen: a peer that has finished sending is still answered.
  if (tls === undefined) return createServer({ allowHalfOpen: true }, accept);
  const server = createTlsServer({ ...tlsServerOptions(tls), allowHalfOpen: true }, accept);
  // Whoever cannot prove who it is gets the alert of TLS; each attempt is not worth a word of ours.
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  return cuttingHandshakes(server);
}

/** Closing such a server also cuts those that have not shown who they are yet. */
function cuttingHandshakes<Secure extends Server>(server: Secure): Secure {
  const unknown = new Map<string, Socket>();
  server.on("connection", (socket: Socket) => {
    const name = nameOf(socket);
    unknown.set(name, socket);
    socket.once("close", () => unknown.delete(name));
  });
  server.on("secureConnection", (socket: Socket) => unknown.delete(nameOf(socket)));
  const close = server.close.bind(server);
  return Object.assign(server, {
    close: (callback?: (error?: Error) => void) => {
      for (const socket of unknown.values()) socket.destroy();
      return close(callback);
    },
  });
}

function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

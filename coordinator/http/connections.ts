// Connections: which of a server's sockets have a request to answer, so that closing can cut the others at once. Node itself counts a
// socket that never said anything as busy, and keeps one that got its last answer while closing until its client hangs up.
import type { Server } from "node:http";
import { Server as SecureServer } from "node:https";
import type { Socket } from "node:net";

export class Connections {
  /** Requests to be answered, by socket. */
  readonly #open = new Map<Socket, number>();
  #closing = false;

  constructor(server: Server) {
    // With TLS the socket of a request is the one that the handshake made.
    const opened = server instanceof SecureServer ? "secureConnection" : "connection";
    server.on(opened, (socket: Socket) => {
      this.#open.set(socket, 0);
      socket.once("close", () => this.#open.delete(socket));
    });
    server.on("request", ({ socket }, response) => {
      this.#count(socket, 1);
      response.once("close", () => {
        this.#count(socket, -1);
        if (this.#closing) this.#cutIdle();
      });
    });
  }

  /** Cuts what has no request to answer, now and from now on. */
  close(): void {
    this.#closing = true;
    this.#cutIdle();
  }

  #cutIdle(): void {
    // An answer may still be on its way out: the socket ends after it.
    for (const [socket, requests] of this.#open) if (requests === 0) socket.destroySoon();
  }

  #count(socket: Socket, change: number): void {
    const requests = this.#open.get(socket);
    if (requests !== undefined) this.#open.set(socket, requests + change);
  }
}

// Ask: one request to another node over a connection of its own, for pulls (M2). A pull brings a page of up to 192 KiB,
// beside which connecting costs little, and nothing has to be kept for nodes that are asked once in a re-seating.
// Whether to ask again is the coordinator's decision: a lost connection and a late answer are both null.
import { parseAddress } from "../shared/io/address.ts";
import { greeting, GREETING_ID, type Credentials } from "../shared/io/credentials.ts";
import { type ConnectionOptions, NdjsonConnection } from "../shared/io/ndjson-connection.ts";
import { dial } from "../shared/io/sockets.ts";

export interface AskOptions {
  /** For connecting and answering together. */
  readonly timeoutMs: number;
  readonly connection: ConnectionOptions;
  readonly credentials?: Credentials | undefined;
}

/**
 * Sends one request and takes the first line that answers it. Never rejects.
 * @param address As for `parseAddress`; one that is none counts as unreachable.
 * @param request Without `id`, which is given here.
 */
export async function ask(
  address: string,
  request: object,
  options: AskOptions,
): Promise<Record<string, unknown> | null> {
  try {
    const target = parseAddress(address);
    const { credentials } = options;
    return await new Promise((resolve) => {
      const { socket } = dial(target, credentials?.tls);
      const connection = new NdjsonConnection(socket, options.connection);
      const finish = (answer: Record<string, unknown> | null): void => {
        clearTimeout(timer);
        resolve(answer);
        connection.destroy("answered, or given up");
      };
      const timer = setTimeout(() => finish(null), options.timeoutMs);
      connection.start({
        lines: (lines) => {
          const answer = lines.find((line) => line["id"] !== GREETING_ID || line["status"] !== "ok");
          if (answer !== undefined) finish(answer["id"] === GREETING_ID ? null : answer);
        },
        badLine: () => finish(null),
        closed: () => finish(null),
      });
      // Both are written once the socket is connected.
      if (credentials?.token !== undefined) connection.send(greeting(credentials.token));
      connection.send({ id: 1, ...request });
    });
  } catch {
    return null; // no address, which is answered like one where nobody listens
  }
}

// Dial: one attempt to reach an address, bounded in time. Refusals are KvErrors that name the address.
import { KvError } from "../errors.ts";
import type { Address } from "../io/address.ts";
import { parseAddress } from "../io/address.ts";
import { NdjsonConnection } from "../io/ndjson-connection.ts";
import { dial, type TlsMaterial } from "../io/sockets.ts";
import { VALUE_BYTES_MAX_CEILING, lineBytesMax } from "../limits.ts";

const CONNECTION = {
  // The value limit of the other end is not known before hello.
  lineBytesMax: lineBytesMax(VALUE_BYTES_MAX_CEILING),
  requireObjectFirst: false,
  outputBytesMax: 64 * 1024 * 1024,
} as const;

/**
 * Opens a TCP connection, with TLS where asked for; the caller must `start` it in the same turn.
 * @throws KvError NODE_UNREACHABLE where nobody answers in time, BAD_REQUEST for an address that is none, CANCELLED
 */
export async function connectTo(
  address: string,
  options: {
    readonly timeoutMs: number;
    readonly signal: AbortSignal | undefined;
    readonly tls?: TlsMaterial | undefined;
  },
): Promise<NdjsonConnection> {
  const { host, port } = parsed(address);
  if (options.signal?.aborted) throw cancelled(address);
  return await new Promise((resolve, reject) => {
    const { socket, ready } = dial({ host, port }, options.tls);
    const settle = (error: KvError | null): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", aborted);
      socket.off(ready, connected).off("error", failed);
      if (error === null) return resolve(new NdjsonConnection(socket, CONNECTION));
      socket.on("error", () => {}); // given up: whatever else it reports is of no interest
      socket.destroy();
      reject(error);
    };
    const connected = (): void => settle(null);
    const failed = (error: NodeJS.ErrnoException): void => settle(unreachable(address, error.code ?? error.message));
    const aborted = (): void => settle(cancelled(address));
    const timer = setTimeout(
      () => settle(unreachable(address, `no answer within ${options.timeoutMs} ms`)),
      options.timeoutMs,
    );
    options.signal?.addEventListener("abort", aborted, { once: true });
    socket.on(ready, connected).on("error", failed);
  });
}

function parsed(address: string): Address {
  try {
    return parseAddress(address);
  } catch (error) {
    throw new KvError("BAD_REQUEST", error instanceof Error ? error.message : `${address} is no address`);
  }
}

function unreachable(address: string, why: string): KvError {
  return new KvError("NODE_UNREACHABLE", `cannot reach ${address}: ${why}`, { address });
}

function cancelled(address: string): KvError {
  return new KvError("CANCELLED", `connecting to ${address} was aborted by the caller`, { address });
}

// Addresses as people type them: `host:port`, `port` alone for this machine, `[::1]:5001` for IPv6. Pure text: whether
// anybody listens there is found out by connecting.

export interface Address {
  /** A name or a number, IPv6 without brackets. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

const HOST_CHARS_MAX = 253;
const PORT_MAX = 65_535;

/** Parses `host:port`, `port` or `[ipv6]:port`. Throws an Error that says what is wrong and what is expected. */
export function parseAddress(text: string): Address {
  const match = /^(?:(?:\[([\da-fA-F:.]+(?:%[\w.-]+)?)\]|([\w.-]+)):)?(\d{1,5})$/.exec(text.trim());
  const host = match?.[1] ?? match?.[2] ?? "127.0.0.1";
  const port = Number(match?.[3]);
  if (match === null || host.length > HOST_CHARS_MAX) throw badAddress(text, "is no address");
  if (port < 1 || port > PORT_MAX) throw badAddress(text, `has no port from 1 to ${PORT_MAX}`);
  return { host, port };
}

/** The text `parseAddress` takes. */
export function formatAddress(address: Address): string {
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** Where others reach a process that listens there. Every interface is no address: then it is this machine's. */
export function reachableAt(listening: Address, advertise: Address | undefined): string {
  if (advertise) return formatAddress(advertise);
  const host = ["0.0.0.0", "::"].includes(listening.host) ? "127.0.0.1" : listening.host;
  return formatAddress({ host, port: listening.port });
}

function badAddress(text: string, problem: string): Error {
  const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
  return new Error(`${shown} ${problem}; expected host:port, port or [ipv6]:port, such as 127.0.0.1:7000`);
}

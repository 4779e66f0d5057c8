// Where the state is kept, as people name it: `etcd://host:port,host:port/prefix`. The members of one etcd, and the prefix of our two keys in
// it, `holdfast` where none is given: a cluster has its prefix for itself.
import { formatAddress, parseAddress } from "../../shared/io/address.ts";

export interface EtcdLocation {
  /** `host:port` of each member that is known. */
  readonly endpoints: readonly string[];
  readonly prefix: string;
  /** As it is shown. */
  readonly place: string;
}

const SCHEME = "etcd://";
const PREFIX_DEFAULT = "holdfast";
const PREFIX = /^[\w.-]+(?:\/[\w.-]+)*$/;

/** @throws Error that says what is wrong and what is expected */
export function parseEtcdLocation(text: string): EtcdLocation {
  const slash = text.indexOf("/", SCHEME.length);
  const members = text.slice(SCHEME.length, slash < 0 ? undefined : slash);
  const prefix = (slash < 0 ? "" : text.slice(slash + 1).replace(/\/$/, "")) || PREFIX_DEFAULT;
  if (!text.startsWith(SCHEME) || members === "" || !PREFIX.test(prefix)) {
    throw new Error(
      `${JSON.stringify(text)} names no etcd; expected etcd://host:port,host:port or etcd://host:port/prefix`,
    );
  }
  const endpoints = members.split(",").map((member) => formatAddress(parseAddress(member)));
  return { endpoints, prefix, place: `${SCHEME}${endpoints.join(",")}/${prefix}` };
}

// Node links: connections to storage nodes for direct reads, opened when first needed and kept. A node that cannot be
// reached, or is not the one it should be, is left alone for a while.
import { KvError } from "../errors.ts";
import type { Credentials } from "../io/credentials.ts";
import { monotonicMs } from "../io/system-clock.ts";
import type { RingAnswer } from "../protocol/client-messages.ts";
import type { Session } from "./session.ts";
import { openSession } from "./session.ts";

export type Member = RingAnswer["members"][number];

const OPEN_TIMEOUT_MS = 500;
const LEFT_ALONE_MS = 1_000;

interface Link {
  session: Session | null;
  opening: Promise<Session> | null;
  /** Not tried again before, on the monotonic clock in ms. */
  notBeforeMs: number;
}

export class NodeLinks {
  readonly #links = new Map<string, Link>();
  readonly #credentials: Credentials;
  #closed = false;

  constructor(credentials: Credentials = {}) {
    this.#credentials = credentials;
  }

  /** The session with a member. @throws KvError NODE_UNREACHABLE, WRONG_NODE */
  async session(member: Member): Promise<Session> {
    const link = this.#link(member.address);
    if (link.session?.open && link.session.incarnation === member.incarnation) return link.session;
    if (this.#closed || monotonicMs() < link.notBeforeMs) {
      throw new KvError("NODE_UNREACHABLE", `${member.address} did not answer a moment ago`, {
        address: member.address,
      });
    }
    link.opening ??= this.#open(member, link);
    return await link.opening;
  }

  /** Leaves a node alone for a while: it did not answer. */
  avoid(member: Member): void {
    this.#link(member.address).notBeforeMs = monotonicMs() + LEFT_ALONE_MS;
    this.#drop(member.address);
  }

  /** Closes the links of nodes that are no members any more. */
  keepOnly(members: readonly Member[]): void {
    const addresses = new Set(members.map(({ address }) => address));
    for (const [address, link] of this.#links) {
      if (addresses.has(address) || link.opening !== null) continue;
      this.#drop(address);
      this.#links.delete(address);
    }
  }

  /** Reads under way must be settled before. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { opening } of this.#links.values()) await opening?.catch(() => {}); // its caller was told
    for (const { session } of this.#links.values()) await session?.close();
  }

  #link(address: string): Link {
    let link = this.#links.get(address);
    if (link === undefined) {
      link = { session: null, opening: null, notBeforeMs: 0 };
      this.#links.set(address, link);
    }
    return link;
  }

  #drop(address: string): void {
    const link = this.#link(address);
    link.session?.abandon("no longer used for reads");
    link.session = null;
  }

  async #open(member: Member, link: Link): Promise<Session> {
    try {
      link.session?.abandon("another incarnation is wanted");
      link.session = null;
      const session = await openSession(member.address, { timeoutMs: OPEN_TIMEOUT_MS, credentials: this.#credentials });
      if (session.incarnation !== member.incarnation) {
        await session.close();
        throw new KvError("WRONG_NODE", `${member.address} is not the node ${member.id} of this cluster`, {
          address: member.address,
        });
      }
      link.session = session;
      return session;
    } catch (error) {
      link.notBeforeMs = monotonicMs() + LEFT_ALONE_MS;
      throw error;
    } finally {
      link.opening = null;
    }
  }
}

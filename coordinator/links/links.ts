// Links to every address the coordinator talks to: voters while it campaigns, members while it leads, newcomers while they are
// added. Opened on demand, closed when nothing wants them any more.
import type { Timers } from "../../shared/timers.ts";
import { Link, type Answer, type Channel } from "./link.ts";

export type LinkEffect =
  /** Keep both connections to this address up, redialling with back-off. */
  | { readonly type: "dial"; readonly address: string }
  | { readonly type: "hangUp"; readonly address: string }
  | { readonly type: "send"; readonly address: string; readonly channel: Channel; readonly message: object };

/** Longer than it takes to greet a node and to bring it into the cluster. */
const GREETING_MS_MAX = 10_000;

export class Links {
  readonly timers: Timers;
  readonly #links = new Map<string, Link>();
  /** When somebody last asked for the link of an address. */
  readonly #askedForAt = new Map<string, number>();
  readonly #emit: (effect: LinkEffect) => void;
  /** Called when a connection comes up: hellos are sent from here. */
  onUp: (link: Link, channel: Channel) => void = () => undefined;
  onDown: (link: Link, channel: Channel) => void = () => undefined;

  constructor(timers: Timers, emit: (effect: LinkEffect) => void) {
    this.timers = timers;
    this.#emit = emit;
  }

  /** The link to an address, dialled if it is new. */
  to(address: string): Link {
    this.#askedForAt.set(address, this.timers.now);
    const known = this.#links.get(address);
    if (known) return known;
    const link = new Link(address, this);
    this.#links.set(address, link);
    this.#emit({ type: "dial", address });
    return link;
  }

  get(address: string): Link | undefined {
    return this.#links.get(address);
  }

  /** Drops links to all addresses but these, and but those that were asked for just now: somebody may be greeting a newcomer there. */
  keepOnly(addresses: ReadonlySet<string>): void {
    for (const [address, link] of this.#links) {
      if (addresses.has(address) || this.timers.now - (this.#askedForAt.get(address) ?? 0) < GREETING_MS_MAX) continue;
      this.#askedForAt.delete(address);
      this.#links.delete(address);
      this.#emit({ type: "hangUp", address });
      link.disconnected("data");
      link.disconnected("control");
    }
  }

  send(link: Link, channel: Channel, message: object): void {
    this.#emit({ type: "send", address: link.address, channel, message });
  }

  up(address: string, channel: Channel): void {
    const link = this.#links.get(address);
    if (!link) return;
    link.connected(channel);
    this.onUp(link, channel);
  }

  down(address: string, channel: Channel): void {
    const link = this.#links.get(address);
    if (!link) return;
    link.disconnected(channel);
    this.onDown(link, channel);
  }

  received(address: string, messages: readonly Answer[]): void {
    const link = this.#links.get(address);
    if (link) for (const message of messages) link.received(message);
  }

  /** End of turn. */
  flush(): void {
    for (const link of this.#links.values()) link.flush();
  }
}

// Events: what has become of this coordinator and, while it leads, of nodes and operations, for whoever looks later. The latest few are
// kept in memory; the log has all of them.
import type { RoleNews, NoticeSubject } from "../leader.ts";

const EVENTS_MAX = 200;

export type EventSubject = NoticeSubject | "coordinator";

export interface LoggedEvent {
  /** Counts up from 1 in one process. */
  readonly id: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly about: EventSubject;
  readonly text: string;
}

export class EventLog {
  readonly #events: LoggedEvent[] = [];
  readonly #listeners = new Set<(event: LoggedEvent) => void>();
  #count = 0;
  #elections = 0;

  /** Elections that this process has won. */
  get elections(): number {
    return this.#elections;
  }

  /** The oldest first. */
  all(): readonly LoggedEvent[] {
    return this.#events;
  }

  notice(about: EventSubject, text: string): void {
    const event = { id: ++this.#count, at: Date.now(), about, text };
    this.#events.push(event);
    if (this.#events.length > EVENTS_MAX) this.#events.shift();
    for (const listener of this.#listeners) listener(event);
  }

  /** @param own Address of this coordinator. */
  role(news: RoleNews, own: string): void {
    if (news.role === "leader") this.#elections++;
    this.notice("coordinator", roleText(news, own));
  }

  /** @returns what ends it */
  follow(listener: (event: LoggedEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}

function roleText({ role, epoch, leader, missing, because }: RoleNews, own: string): string {
  switch (role) {
    case "new":
      return `coordinator ${own} waits for its first node`;
    case "leader":
      return `coordinator ${own} leads epoch ${epoch}`;
    case "standby":
      return `coordinator ${own} stands by${leader === undefined ? "" : `: ${leader} leads epoch ${epoch}`}`;
    case "waiting": {
      if (because !== undefined) return `coordinator ${own} waits: ${because}`;
      const who = missing.map(({ id }) => id).join(", ");
      return `coordinator ${own} waits for a majority of the voters${who === "" ? "" : `: ${who} missing`}`;
    }
  }
}

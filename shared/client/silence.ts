// Silence: notices that a leader owes answers and says nothing. The other end of a cut cable, or of a stopped process, keeps its
// connection open, and every operation would wait there until its own deadline while somebody else leads already. It looks now and
// then, so that operations pay nothing for it; after a stop of our own process one look is not enough to call anybody silent.
import type { Session } from "./session.ts";

const LOOK_INTERVAL_MS = 250;
/** Looks in a row that found nothing new, beyond which it is told. */
const LOOKS_MAX = 4;

export class Silence {
  readonly #timer: NodeJS.Timeout;
  readonly #current: () => Session | null;
  readonly #silent: (session: Session) => void;
  #session: Session | null = null;
  #heard = 0;
  #looks = 0;

  /**
   * @param current The session that is listened to; null: none at the time.
   * @param silent Told about once a second, as long as the silence lasts.
   */
  constructor(current: () => Session | null, silent: (session: Session) => void) {
    this.#current = current;
    this.#silent = silent;
    this.#timer = setInterval(() => this.#look(), LOOK_INTERVAL_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const session = this.#current();
    const isSame = session !== null && session === this.#session && session.heard === this.#heard;
    this.#session = session;
    this.#heard = session?.heard ?? 0;
    if (session === null || !isSame || !session.owesData) {
      this.#looks = 0;
      return;
    }
    if (++this.#looks < LOOKS_MAX) return;
    this.#looks = 0;
    this.#silent(session);
  }
}

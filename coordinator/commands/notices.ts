// Notices: lines about things that happen by themselves, on their way to whoever shows them above a prompt.
export class Notices {
  readonly #listeners = new Set<(line: string) => void>();

  readonly tell = (text: string): void => {
    for (const listener of this.#listeners) listener(text);
  };

  /** Returns the way to stop. */
  readonly subscribe = (listener: (line: string) => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };
}

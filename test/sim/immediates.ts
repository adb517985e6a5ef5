import { settle } from './settle.ts';

/** Takes the place of `setImmediate`, so that turns of the event loop are the simulator's: it can tell when none is left, and seeds stay what they are. */
export class Immediates {
  readonly #waiting: (() => void)[] = [];

  /** @returns brings the real one back */
  install(): () => void {
    const real = globalThis.setImmediate;
    const take = (callback: (...values: unknown[]) => void, ...values: unknown[]): void =>
      void this.#waiting.push(() => callback(...values));
    globalThis.setImmediate = take as unknown as typeof setImmediate;
    return () => {
      globalThis.setImmediate = real;
    };
  }

  /** Lets all have its turn that waits for nothing else. To be called from a microtask. */
  async settle(): Promise<void> {
    await settle();
    while (this.#waiting.length > 0) {
      // Those of one turn; what they bring has the next.
      for (const run of this.#waiting.splice(0)) {
        run();
        await settle();
      }
    }
  }
}

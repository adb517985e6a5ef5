/** Ends a registration made with `on`; idempotent. */
export type Unlisten = () => void;

/** Named events with typed payloads: `Map` gives the payload of each name. */
export class Events<Map extends object> {
  readonly #listeners = new globalThis.Map<keyof Map, Set<(event: never) => void>>();

  /** Calls `listener` for each event of that name from now on, in order of registration. */
  on<Name extends keyof Map>(name: Name, listener: (event: Map[Name]) => void): Unlisten {
    const existing = this.#listeners.get(name);
    const set = existing ?? new Set();
    if (existing === undefined) this.#listeners.set(name, set);
    set.add(listener);
    return () => void set.delete(listener);
  }

  /** Whether anybody listens to `name`. */
  hasListeners(name: keyof Map): boolean {
    return (this.#listeners.get(name)?.size ?? 0) > 0;
  }

  /** Tells all listeners. What one throws is a programming error: it surfaces as an uncaught exception, not here. */
  emit<Name extends keyof Map>(name: Name, event: Map[Name]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        listener(event as never);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

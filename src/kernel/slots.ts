import { SluiceError } from './errors.ts';

/** Who waits for something to be done. */
export interface Asker {
  /** Aborts when it does not wait any more. Looked at only where there is no room at once, so it may be made as late as that. */
  readonly gone: AbortSignal;
}

/** An {@link Asker} that asks again and again: what it drops is over, and what it asks for after that is another matter. */
export class Asking implements Asker {
  #controller: AbortController | undefined;

  get gone(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  /** It does not wait any more for what it has asked for so far. */
  drop(): void {
    this.#controller?.abort();
    this.#controller = undefined;
  }
}

/** Several who wait for the same thing: gone when all of them are. */
export class Askers implements Asker {
  readonly #controller = new AbortController();
  readonly #waiting = new Map<AbortSignal, () => void>();

  /** @param asker one more; undefined: nobody knows when it goes, so this one does not go either */
  constructor(asker: Asker | undefined) {
    this.add(asker);
  }

  get gone(): AbortSignal {
    return this.#controller.signal;
  }

  /** One more waits for it, unless all have {@link gone} already. */
  add(asker: Asker | undefined): void {
    const signal = asker?.gone ?? new AbortController().signal;
    const leave = (): void => {
      signal.removeEventListener('abort', leave);
      this.#waiting.delete(signal);
      if (this.#waiting.size === 0) this.#controller.abort();
    };
    if (this.#waiting.has(signal)) return;
    this.#waiting.set(signal, leave);
    signal.addEventListener('abort', leave);
    if (signal.aborted) leave();
  }

  /** It is done: nobody is listened to any more. */
  end(): void {
    for (const [signal, leave] of this.#waiting) signal.removeEventListener('abort', leave);
    this.#waiting.clear();
  }
}

/** Lets a bounded number of things happen at once; the rest wait in order. */
export class Slots {
  #free: number;
  /** In order; a set, because any of them may leave before its turn. */
  readonly #waiting = new Set<() => void>();

  /** @param count how many at once */
  constructor(count: number) {
    this.#free = count;
  }

  /** Things that wait. */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Does `work` when there is room for it now. @returns undefined when there is none */
  tryRun<T>(work: () => Promise<T>): Promise<T> | undefined {
    return this.#free > 0 ? this.run(work) : undefined;
  }

  /**
   * Does `work` when it is its turn.
   * @param asker who it is for; left out: it is done whoever goes
   * @throws CANCELLED when the asker has gone before it was begun; what `work` throws
   */
  async run<T>(work: () => T | Promise<T>, asker?: Asker): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await this.#turn(asker?.gone);
    try {
      return await work();
    } finally {
      const [next] = this.#waiting;
      if (next) next();
      else this.#free++;
    }
  }

  #turn(gone: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#waiting.delete(go);
        gone?.removeEventListener('abort', leave);
      };
      const go = (): void => {
        end();
        resolve();
      };
      const leave = (): void => {
        end();
        reject(new SluiceError('CANCELLED', 'nobody waits for it any more'));
      };
      this.#waiting.add(go);
      gone?.addEventListener('abort', leave);
      if (gone?.aborted) leave();
    });
  }
}

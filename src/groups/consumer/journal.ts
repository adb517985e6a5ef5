import { SluiceError } from '../../kernel/errors.ts';
import type { StateLog, StateRecord } from '../ports.ts';

/** The log of a coordinator, in which nothing counts as stored before all that was appended earlier is. */
export class Journal {
  readonly #log: StateLog;
  readonly #onFailure: (error: unknown) => void;
  readonly #waiting = new Set<(error: SluiceError) => void>();
  #tail: Promise<void> = Promise.resolve();
  #isClosed = false;

  /** @param onFailure called once, when something could not be stored; nothing can be appended any more */
  constructor(log: StateLog, onFailure: (error: unknown) => void) {
    this.#log = log;
    this.#onFailure = onFailure;
  }

  /** @throws NOT_LEADER once closed or failed; what `StateLog.append` throws, also for what an earlier call could not store */
  append(records: readonly StateRecord[]): Promise<void> {
    if (this.#isClosed) return Promise.reject(notCoordinator());
    const stored = both(this.#tail, this.#log.append(records));
    this.#tail = stored;
    stored.catch((error: unknown) => this.#fail(error));
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject);
      const done = (): boolean => this.#waiting.delete(reject);
      stored.then(resolve, reject).finally(done);
    });
  }

  /** Who waits is told NOT_LEADER. Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const reject of this.#waiting) reject(notCoordinator());
    this.#waiting.clear();
  }

  #fail(error: unknown): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#onFailure(error);
  }
}

/** What waits is told to look for whoever leads now. */
export function notCoordinator(): SluiceError {
  return new SluiceError('NOT_LEADER', 'this node does not coordinate the group any more');
}

async function both(earlier: Promise<void>, later: Promise<void>): Promise<void> {
  await Promise.all([earlier, later]);
}

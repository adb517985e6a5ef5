import type { SluiceError } from '../kernel/errors.ts';
import { notCoordinator } from './not-coordinator.ts';
import type { StateLog, StateRecord } from './ports.ts';

/** Appends under way at once. While there are so many, what changes gathers and goes together: requests share the log's flushes. */
const APPENDS_MAX = 4;

/** Something whose changes have to be stored. */
export interface Changing {
  /** What changed since the last call, as it is stored. */
  changes(): readonly StateRecord[];
}

/** What a waiter is told of an append that has begun, and of which nobody will hear whether it is stored. */
type Unsure = 'NOT_LEADER' | 'UNAVAILABLE';

interface Waiter {
  readonly unsure: Unsure;
  readonly resolve: () => void;
  readonly reject: (error: SluiceError) => void;
}

/** Stores what changes in all groups, or all queues, of a coordinator: what changed in one turn is one append, and appends keep their order. */
export class StateWriter {
  readonly #log: StateLog;
  readonly #onFailure: (error: unknown) => void;
  readonly #changed = new Set<Changing>();
  readonly #records: StateRecord[] = [];
  #waiters: Waiter[] = [];
  /** Those who wait for the appends under way. */
  readonly #underWay = new Set<readonly Waiter[]>();
  #appends = 0;
  #isScheduled = false;
  #isClosed = false;
  /** Ends when all appends so far have. */
  #last: Promise<void> = Promise.resolve();

  /** @param onFailure called once, when something could not be stored: nothing is from then on */
  constructor(log: StateLog, onFailure: (error: unknown) => void) {
    this.#log = log;
    this.#onFailure = onFailure;
  }

  /** Something has changed: what it then says is stored soon. */
  note(changing: Changing): void {
    this.#changed.add(changing);
    this.#schedule();
  }

  /** What it still has to say is of no use: it is erased. */
  forget(changing: Changing): void {
    this.#changed.delete(changing);
  }

  /** Stores these soon, before what {@link note} brings in the same turn. */
  put(records: readonly StateRecord[]): void {
    // One by one: there may be more of them than a call can have arguments.
    for (const record of records) this.#records.push(record);
    this.#schedule();
  }

  /** As {@link put}. @returns when they are stored, and all before them @throws NOT_LEADER: they may be stored all the same */
  append(records: readonly StateRecord[]): Promise<void> {
    this.put(records);
    return this.stored();
  }

  /**
   * All that was noted and put so far is stored when this resolves.
   *
   * @param unsure the code where it may have been stored all the same; NOT_LEADER, after which others ask again by themselves, is for what
   *   does no harm twice
   * @throws NOT_LEADER when it could not be, or was not before the close
   */
  stored(unsure: Unsure = 'NOT_LEADER'): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) {
        reject(notCoordinator());
        return;
      }
      this.#waiters.push({ resolve, reject, unsure });
      this.#schedule();
    });
  }

  /** Nobody is told any more that something was stored. Idempotent. */
  close(): void {
    this.#isClosed = true;
    const [waiters, begun] = [this.#waiters, [...this.#underWay].flat()];
    this.#waiters = [];
    this.#underWay.clear();
    for (const { reject } of waiters) reject(notCoordinator());
    for (const { reject, unsure } of begun) reject(notCoordinator(unsure));
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isClosed || this.#appends >= APPENDS_MAX) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      if (!this.#isClosed) void this.#flush();
    });
  }

  async #flush(): Promise<void> {
    const records = this.#records.splice(0);
    for (const changing of this.#changed) records.push(...changing.changes());
    this.#changed.clear();
    const waiters = this.#waiters;
    this.#waiters = [];
    this.#underWay.add(waiters);
    this.#appends++;
    const before = this.#last;
    const stored = records.length === 0 ? before : this.#append(records, before);
    this.#last = stored.catch(() => undefined);
    try {
      await stored;
      if (this.#underWay.delete(waiters)) for (const { resolve } of waiters) resolve();
    } catch (error) {
      this.#fail(error);
    }
    this.#appends--;
    if (this.#records.length + this.#changed.size + this.#waiters.length > 0) this.#schedule();
  }

  async #append(records: readonly StateRecord[], before: Promise<void>): Promise<void> {
    await this.#log.append(records);
    await before;
  }

  #fail(error: unknown): void {
    if (this.#isClosed) return;
    this.close();
    this.#onFailure(error);
  }
}

import type { StateLog, StateRecord } from '../../../src/groups/ports.ts';
import { SluiceError } from '../../../src/kernel/errors.ts';

interface Append {
  readonly records: readonly StateRecord[];
  readonly resolve: () => void;
  readonly reject: (error: SluiceError) => void;
}

/** What a partition of `__groups` holds, which outlives who leads it. */
export class FakeStatePartition {
  readonly stored: StateRecord[] = [];
  #epoch = 0;

  /** The log of the next leader; those before store nothing any more. */
  lead(): FakeStateLog {
    this.#epoch += 1;
    return new FakeStateLog(this, this.#epoch);
  }

  isLed(epoch: number): boolean {
    return epoch === this.#epoch;
  }
}

/** A log that stores when the test lets it. */
export class FakeStateLog implements StateLog {
  readonly partition = 0;
  readonly leaderEpoch: number;
  /** While set, what is appended waits for {@link release}. */
  isHeld = false;
  /** Appends so far. */
  appends = 0;
  readonly #partition: FakeStatePartition;
  readonly #waiting: Append[] = [];

  constructor(partition: FakeStatePartition, epoch: number) {
    this.#partition = partition;
    this.leaderEpoch = epoch;
  }

  append(records: readonly StateRecord[]): Promise<void> {
    this.appends += 1;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ records, resolve, reject });
      queueMicrotask(() => {
        if (!this.isHeld) this.release();
      });
    });
  }

  /** Stores what waits, in order, and goes on storing at once. */
  resume(): void {
    this.isHeld = false;
    this.release();
  }

  /** Stores what waits, in order. @param appends so many of them, default all */
  release(appends = Infinity): void {
    for (const { records, resolve, reject } of this.#waiting.splice(0, appends)) {
      if (this.#partition.isLed(this.leaderEpoch)) {
        this.#partition.stored.push(...records);
        resolve();
      } else {
        reject(new SluiceError('NOT_LEADER', 'another leads'));
      }
    }
  }

  /** What waits is refused. @param isStored and stored all the same */
  fail(isStored: boolean): void {
    for (const { records, reject } of this.#waiting.splice(0)) {
      if (isStored && this.#partition.isLed(this.leaderEpoch)) this.#partition.stored.push(...records);
      reject(new SluiceError('NOT_ENOUGH_REPLICAS', 'as the test wants it'));
    }
  }
}

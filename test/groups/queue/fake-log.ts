import type { StateLog, StateRecord } from '../../../src/groups/ports.ts';

/** A partition of `__groups` in memory. Appends resolve in order: at once, or when the test says so. */
export class FakeStateLog implements StateLog {
  readonly partition = 0;
  readonly leaderEpoch: number;
  /** All that was stored, in order. */
  readonly records: StateRecord[] = [];
  /** Appends so far. */
  appends = 0;
  /** While true, appends wait for {@link release}. */
  isHeld = false;
  /** Appends fail with it from now on. */
  failure: Error | undefined;
  /** Before this append, counted from 1, everything stops for ever: the node has crashed. */
  crashAt = Infinity;
  #waiting: (() => void)[] = [];

  constructor(leaderEpoch = 1) {
    this.leaderEpoch = leaderEpoch;
  }

  append(records: readonly StateRecord[]): Promise<void> {
    this.appends++;
    if (this.failure) return Promise.reject(this.failure);
    if (this.appends >= this.crashAt) return new Promise(() => undefined);
    this.records.push(...records);
    if (!this.isHeld) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Lets what waits resolve. */
  release(): void {
    this.isHeld = false;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** A log as the next leader finds it. @param lost records that only this one had */
  next(lost = 0): FakeStateLog {
    const log = new FakeStateLog(this.leaderEpoch + 1);
    log.records.push(...this.records.slice(0, this.records.length - lost));
    return log;
  }

  /** Keys that have a value. */
  keys(): string[] {
    const last = new Map(this.records.map(({ key, value }) => [key, value]));
    return [...last].filter(([, value]) => value !== null).map(([key]) => key);
  }
}

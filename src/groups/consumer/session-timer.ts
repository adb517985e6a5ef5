import type { Clock, Timer } from '../../kernel/clock.ts';
import type { Member } from './member.ts';

/** A timer that comes so late has not run because the process has not: members could not be heard either. */
const FROZEN_MS = 500;
/** What they then have to be heard, beyond the time it was late. */
const GRACE_MS = 1000;

/** Says which members have not been heard of for too long. */
export class SessionTimer {
  readonly #clock: Clock;
  readonly #members: ReadonlyMap<string, Member>;
  readonly #onSilent: (members: readonly Member[]) => void;
  #timer: Timer | undefined;
  #dueMs = Infinity;

  constructor(
    clock: Clock,
    members: ReadonlyMap<string, Member>,
    onSilent: (members: readonly Member[]) => void,
  ) {
    this.#clock = clock;
    this.#members = members;
    this.#onSilent = onSilent;
  }

  /** There is a member whose deadline may be before all others. A deadline that has moved away needs no call. */
  note({ deadlineMs }: Member): void {
    if (deadlineMs < this.#dueMs) this.#set(deadlineMs);
  }

  /** Idempotent. */
  cancel(): void {
    this.#timer?.cancel();
    this.#dueMs = Infinity;
  }

  #set(dueMs: number): void {
    this.cancel();
    if (dueMs === Infinity) return;
    this.#dueMs = dueMs;
    this.#timer = this.#clock.setTimer(dueMs - this.#clock.monotonicMs(), () => this.#look());
  }

  #look(): void {
    const nowMs = this.#clock.monotonicMs();
    const lateMs = nowMs - this.#dueMs;
    this.#dueMs = Infinity;
    const members = [...this.#members.values()];
    if (lateMs > FROZEN_MS) {
      for (const member of members) member.heardMs = Math.min(nowMs, member.heardMs + lateMs + GRACE_MS);
    }
    const silent = members.filter(({ deadlineMs }) => deadlineMs <= nowMs);
    if (silent.length > 0) this.#onSilent(silent);
    this.#set(Math.min(...Array.from(this.#members.values(), ({ deadlineMs }) => deadlineMs), Infinity));
  }
}

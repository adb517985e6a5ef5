/** Something that writes when it is its turn. */
export interface Pump {
  /** Owned by the scheduler: true while the pump waits for its turn. */
  scheduled: boolean;
  /** The connection it works for, which its time is put down to. */
  readonly account: TurnAccount;
  /**
   * Does at most one turn's work; never throws.
   * @returns true when there is more to do at once
   */
  pump(): boolean;
}

/** What a connection may use at once before it counts as busy. */
const BURST_MS = 50;
/** What it may use of each second for ever without being busy. */
const QUIET_SHARE = 0.02;
/** What is held against a connection at most, so that it is forgiven some seconds after it has become quiet. */
const DEBT_MAX_MS = 150;
/** A turn that takes so long holds others up. */
const LONG_TURN_MS = 4;
/** How long after such a turn nothing of the connection is done out of turn. */
const LONG_TURN_REMEMBERED_MS = 1000;

/**
 * The turns that one connection waits for, and the time of the process it has used lately.
 *
 * It keeps little, as there may be tens of thousands.
 */
export class TurnAccount {
  /** Owned by the scheduler: it stands in line for a turn. */
  inLine = false;
  #waiting: Pump[] = [];
  #head = 0;
  #usedMs = 0;
  #atMs = 0;
  #longUntilMs = 0;

  get waitingCount(): number {
    return this.#waiting.length - this.#head;
  }

  push(pump: Pump): void {
    this.#waiting.push(pump);
  }

  /** The pump that has waited longest; there must be one. */
  shift(): Pump {
    const pump = this.#waiting[this.#head++]!;
    if (this.#head === this.#waiting.length) {
      this.#waiting.length = 0;
      this.#head = 0;
    } else if (this.#head > 1024 && this.#head * 2 > this.#waiting.length) {
      this.#waiting.splice(0, this.#head);
      this.#head = 0;
    }
    return pump;
  }

  /** A turn of it took so long. */
  charge(tookMs: number, nowMs: number): void {
    this.#usedMs = Math.min(DEBT_MAX_MS, this.#usedAt(nowMs) + tookMs);
    this.#atMs = nowMs;
    if (tookMs > LONG_TURN_MS) this.#longUntilMs = nowMs + LONG_TURN_REMEMBERED_MS;
  }

  /** Whether it was {@link isBusy} after its last turn; asking needs no clock. */
  get wasBusy(): boolean {
    return this.#usedMs > BURST_MS;
  }

  /** Whether it has used more of the process's time lately than most do. */
  isBusy(nowMs: number): boolean {
    return this.wasBusy && this.#usedAt(nowMs) > BURST_MS;
  }

  /** Whether one of its turns took long lately, so that others had better come in between. */
  holdsUp(nowMs: number): boolean {
    return nowMs < this.#longUntilMs;
  }

  #usedAt(nowMs: number): number {
    return Math.max(0, this.#usedMs - (nowMs - this.#atMs) * QUIET_SHARE);
  }
}

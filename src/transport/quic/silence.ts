import type { Clock } from '../../kernel/clock.ts';

/** Nothing was heard for so long of a peer that was asked for a sign of life so often: where the way is long, timers are longer. */
const SILENT_MS = 2500;
const ASKED_TIMES = 3;
/** Who is waited for is asked for a sign of life after this long without sending. */
const AWAITED_MS = 1_000;
/** What waits in the socket is read first: this process may have stood still, and not the peer. */
const LOOK_AGAIN_MS = 5;

/**
 * Notices that the peer does not answer any more, long before the connection is idle.
 *
 *     heard ── timer for lost packets ──> unanswered ── the same again and again, SILENT_MS ──> silent ── heard ──> …
 *
 * QUIC repeats what is not acknowledged whenever its timer for lost packets runs out. When that goes on for seconds, the peer, or the way
 * to it, has gone. A connection on which nothing is sent is never silent: so something is sent while somebody waits for the peer.
 */
export class Silence {
  readonly #clock: Clock;
  readonly #keepAliveMs: number;
  readonly #isAwaited: () => (() => boolean) | undefined;
  /** When it was last asked whether somebody waits, monotonic milliseconds. */
  #askedMs = -Infinity;
  /** When it is time to look, monotonic milliseconds; Infinity: nothing is unanswered, or the silence was told. */
  #dueMs = Infinity;
  #state: 'heard' | 'doubtful' | 'told' = 'heard';
  /** Timers that ran out since something was heard, and when the first one did. */
  #timers = 0;
  #sinceMs = 0;

  /**
   * @param keepAliveMs the peer is asked for a sign of life so long after something was sent, milliseconds; 0: only when it is awaited
   * @param isAwaited the owner's answer to whether it waits for the peer; undefined: it does not say
   */
  constructor(clock: Clock, keepAliveMs: number, isAwaited: () => (() => boolean) | undefined) {
    this.#clock = clock;
    this.#keepAliveMs = keepAliveMs === 0 ? Infinity : keepAliveMs;
    this.#isAwaited = isAwaited;
  }

  /** When to call {@link wantsSign} and {@link look}. @param lastSentMs when something was sent last, monotonic milliseconds */
  dueMs(lastSentMs: number): number {
    return Math.min(this.#dueMs, this.#awaitedDueMs(lastSentMs), lastSentMs + this.#keepAliveMs);
  }

  /** Whether the peer is to be asked for a sign of life now. */
  wantsSign(lastSentMs: number): boolean {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs >= this.#awaitedDueMs(lastSentMs)) {
      this.#askedMs = nowMs;
      if (this.#isAwaited()!()) return true;
    }
    return nowMs >= lastSentMs + this.#keepAliveMs;
  }

  /** Something came from the peer. */
  heard(): void {
    this.#state = 'heard';
    this.#timers = 0;
    this.#dueMs = Infinity;
  }

  /** A timer for lost packets ran out. */
  unanswered(): void {
    this.#timers += 1;
    const nowMs = this.#clock.monotonicMs();
    if (this.#timers === 1) this.#sinceMs = nowMs;
    if (this.#timers === ASKED_TIMES) this.#dueMs = Math.max(nowMs, this.#sinceMs + SILENT_MS);
  }

  /** @returns whether the peer is silent; true once for each silence */
  look(): boolean {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.#dueMs) return false;
    const isSure = this.#state === 'doubtful';
    this.#state = isSure ? 'told' : 'doubtful';
    this.#dueMs = isSure ? Infinity : nowMs + LOOK_AGAIN_MS;
    return isSure;
  }

  /** Once after each time that something was sent. */
  #awaitedDueMs(lastSentMs: number): number {
    return this.#isAwaited() === undefined || lastSentMs <= this.#askedMs
      ? Infinity
      : lastSentMs + AWAITED_MS;
  }
}

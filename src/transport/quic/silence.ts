import type { Clock } from '../../kernel/clock.ts';
import { AWAITED_MS, LOOK_AGAIN_MS, SILENT_MS } from '../silence-times.ts';

/**
 * Nothing is heard of the peer for at least so many times what the timer for lost packets took: two more run out meanwhile, each after twice as long as the one
 * before. Where the way is long, they are.
 */
const TIMERS = 2 + 4;

/**
 * Notices that the peer does not answer any more, long before the connection is idle.
 *
 *     heard ── timer for lost packets ──> unanswered ── SILENT_MS, or TIMERS ──> doubtful ── LOOK_AGAIN_MS ──> told      (any ── heard ──> heard)
 *
 * QUIC repeats what is not acknowledged when its timer for lost packets runs out. When nothing comes for seconds after that, the peer, or the
 * way to it, has gone. The timers that follow are not counted: whatever is sent meanwhile puts them off. A connection on which nothing is
 * sent is never silent: so something is sent while somebody waits for the peer, once, because that puts off the first timer as well.
 */
export class Silence {
  readonly #clock: Clock;
  readonly #keepAliveMs: number;
  readonly #isAwaited: () => (() => boolean) | undefined;
  /** When it was last asked whether somebody waits, monotonic milliseconds. */
  #askedMs = -Infinity;
  /** It was asked for a sign, for who waits, since something was heard. */
  #isAsked = false;
  /** When it is time to look, monotonic milliseconds; Infinity: nothing is unanswered, or the silence was told. */
  #dueMs = Infinity;
  #state: 'heard' | 'unanswered' | 'doubtful' | 'told' = 'heard';

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
      this.#isAsked = this.#isAwaited()!();
      if (this.#isAsked) return true;
    }
    return nowMs >= lastSentMs + this.#keepAliveMs;
  }

  /** Something came from the peer. */
  heard(): void {
    this.#state = 'heard';
    this.#isAsked = false;
    this.#dueMs = Infinity;
  }

  /** A timer for lost packets ran out. @param lastSentMs when something was sent last, monotonic milliseconds */
  unanswered(lastSentMs: number): void {
    if (this.#state !== 'heard') return;
    this.#state = 'unanswered';
    const nowMs = this.#clock.monotonicMs();
    this.#dueMs = nowMs + Math.max(SILENT_MS, TIMERS * (nowMs - lastSentMs));
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

  /** Once after each time that something was sent, until somebody waits then. */
  #awaitedDueMs(lastSentMs: number): number {
    return this.#isAwaited() === undefined || this.#isAsked || lastSentMs <= this.#askedMs
      ? Infinity
      : lastSentMs + AWAITED_MS;
  }
}

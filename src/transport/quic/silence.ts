import type { Clock } from '../../kernel/clock.ts';
import { AWAITED_MS, LOOK_AGAIN_MS, SILENT_MS } from '../silence-times.ts';

/** Silence takes at least so many times the first timer for lost packets: the two that would follow take twice and four times as long (RFC 9002 section 6.2.1). */
const FIRST_TIMERS = 2 + 4;

/**
 * Notices that the peer does not answer any more, long before the connection is idle.
 *
 *     heard ── a timer for lost packets runs out ──> unanswered ── SILENT_MS, or FIRST_TIMERS ──> doubtful ── LOOK_AGAIN_MS ──> told
 *       ^                                                                                                                       │
 *       └────────────────────────────────────────── anything comes from the peer, in any state ─────────────────────────────────┘
 *
 * QUIC repeats what is not acknowledged when its timer for lost packets runs out. When nothing comes for seconds after that, the peer, or the
 * way to it, has gone. The timers that follow are not counted: whatever is sent meanwhile puts them off. A connection on which nothing is
 * sent is never silent: so something is sent while somebody waits for the peer, once, because that puts off the first timer as well.
 */
export class Silence {
  readonly #clock: Clock;
  readonly #keepAliveMs: number;
  readonly #isAwaited: () => (() => boolean) | undefined;
  /** When the owner was last asked whether it waits, monotonic milliseconds. */
  #ownerAskedMs = -Infinity;
  /** The peer was asked for a sign, for an owner who waits, since something was heard. */
  #isSignAsked = false;
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
      this.#ownerAskedMs = nowMs;
      this.#isSignAsked = this.#isAwaited()!();
      if (this.#isSignAsked) return true;
    }
    return nowMs >= lastSentMs + this.#keepAliveMs;
  }

  /** Something came from the peer. */
  heard(): void {
    this.#state = 'heard';
    this.#isSignAsked = false;
    this.#dueMs = Infinity;
  }

  /**
   * A timer for lost packets ran out.
   * @param timerMs what it took
   * @returns whether the peer is to be asked for a sign of life now: what was lost may have had nothing in it that is sent again
   */
  unanswered(timerMs: number): boolean {
    if (this.#state !== 'heard') return false;
    this.#state = 'unanswered';
    this.#dueMs = this.#clock.monotonicMs() + Math.max(SILENT_MS, FIRST_TIMERS * timerMs);
    return true;
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

  /** When to ask the owner whether it waits: once after each send, and not while the peer owes a sign. */
  #awaitedDueMs(lastSentMs: number): number {
    return this.#isAwaited() === undefined || this.#isSignAsked || lastSentMs <= this.#ownerAskedMs
      ? Infinity
      : lastSentMs + AWAITED_MS;
  }
}

import type { Clock } from '../../kernel/clock.ts';
import { AWAITED_MS, LOOK_AGAIN_MS, SILENT_MS } from '../silence-times.ts';

/** Silence takes at least so many times the timer for lost packets: the two that would follow it take twice and four times as long (RFC 9002 section 6.2.1). */
const TIMERS = 2 + 4;
/** While something is not acknowledged quiche's next timer is that for lost packets; one of more is taken for that of the idle connection. */
const LOSS_TIMER_MAX_MS = 1_000;

/**
 * Notices that the peer does not answer any more, long before the connection is idle.
 *
 *     heard ── something is sent, and not acknowledged for a timer and SILENT_MS, or TIMERS ──> doubtful ── LOOK_AGAIN_MS ──> told
 *       ^                                                                                                                    │
 *       └───────────────────────────────────────── anything comes from the peer, in any state ───────────────────────────────┘
 *
 * What counts is the first packet that was sent since something was heard and has to be acknowledged. QUIC's timers for lost packets are not counted: whatever
 * is sent meanwhile puts them off. A connection on which nothing is sent is never silent: so something is sent while somebody waits for the
 * peer, once, because that puts off the timers with which lost packets are repeated.
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
  /** What quiche's timer takes that was set when something was sent last, milliseconds. */
  #timerMs = 0;
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

  /** Something was sent. @param timerMs until quiche's next timer */
  sent(timerMs: number): void {
    this.#timerMs = timerMs;
    if (timerMs <= LOSS_TIMER_MAX_MS && this.#state === 'heard' && this.#dueMs === Infinity)
      this.#dueMs = this.#clock.monotonicMs() + timerMs + this.#patienceMs;
  }

  /**
   * A timer for lost packets ran out.
   * @returns whether the peer is to be asked for a sign of life now: what was lost may have had nothing in it that is sent again
   */
  unanswered(): boolean {
    if (this.#state !== 'heard') return false;
    this.#state = 'unanswered';
    this.#dueMs = Math.min(this.#dueMs, this.#clock.monotonicMs() + this.#patienceMs);
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

  get #patienceMs(): number {
    return Math.max(SILENT_MS, TIMERS * this.#timerMs);
  }

  /** When to ask the owner whether it waits: once after each send, and not while the peer owes a sign. */
  #awaitedDueMs(lastSentMs: number): number {
    return this.#isAwaited() === undefined || this.#isSignAsked || lastSentMs <= this.#ownerAskedMs
      ? Infinity
      : lastSentMs + AWAITED_MS;
  }
}

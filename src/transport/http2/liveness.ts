import type { Http2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { AWAITED_MS, LOOK_AGAIN_MS, SILENT_MS } from '../silence-times.ts';
import type { TransportLimits } from '../transport.ts';

/** A connection on which somebody waits, now or later, is looked at so often. */
const LOOK_MS = AWAITED_MS / 2;
/** Timers may fire a fraction of a millisecond early. */
const EARLY_MS = 1;

/** What is watched, and who is told. */
export interface LivenessOptions {
  readonly session: Pick<Http2Session, 'destroyed' | 'ping'>;
  readonly socket: Pick<Socket, 'bytesRead'>;
  readonly clock: Clock;
  readonly limits: Pick<TransportLimits, 'idleTimeoutMs' | 'keepAliveMs'>;
  /** The owner's answer to whether it waits for the peer; undefined: it does not say. */
  readonly isAwaited: () => (() => boolean) | undefined;
  /** The peer does not answer, though somebody waits for it; once for each silence. */
  readonly onSilent: () => void;
  /** Nothing was heard for the idle time; called once, and nothing is watched after that. */
  readonly onDead: () => void;
}

/**
 * Watches whether the peer is still there. Anything that arrives on the socket counts as heard.
 *
 * It sends a PING at least every `keepAliveMs`, and one after a second in which nothing was heard of a peer that somebody waits for.
 */
export class Liveness {
  readonly #options: LivenessOptions;
  readonly #everyMs: number;
  #timer: Timer;
  #rttMs: number | undefined;
  #heardBytes: number;
  #heardMs: number;
  #pingedMs: number;
  /** When it was asked for who waits, since something was heard. */
  #askedMs: number | undefined;
  #isTold = false;

  constructor(options: LivenessOptions) {
    const { limits, socket, clock } = options;
    this.#options = options;
    this.#everyMs = Math.max(10, Math.min(limits.keepAliveMs || Infinity, limits.idleTimeoutMs / 3));
    this.#heardBytes = socket.bytesRead;
    this.#heardMs = clock.monotonicMs();
    this.#pingedMs = this.#heardMs;
    // Whether anybody waits the owner says once the connection is made.
    this.#timer = this.#lookIn(Math.min(this.#everyMs, LOOK_MS));
  }

  /** The latest measured round trip. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  stop(): void {
    this.#timer.cancel();
  }

  #lookLater(): Timer {
    return this.#lookIn(this.#options.isAwaited() ? Math.min(this.#everyMs, LOOK_MS) : this.#everyMs);
  }

  #lookIn(waitMs: number): Timer {
    return this.#options.clock.setTimer(waitMs, () => this.#look());
  }

  #look(): void {
    const { session, clock, limits, onDead } = this.#options;
    if (session.destroyed) return;
    const nowMs = clock.monotonicMs();
    this.#listen(nowMs);
    if (nowMs - this.#heardMs >= limits.idleTimeoutMs) {
      onDead();
      return;
    }
    const isKept = limits.keepAliveMs > 0 && nowMs - this.#pingedMs >= this.#everyMs - EARLY_MS;
    if (this.#wantsSign(nowMs) || isKept) this.#ping(nowMs);
    const isLate = this.#askedMs !== undefined && nowMs - this.#askedMs >= SILENT_MS;
    this.#timer = isLate && !this.#isTold ? this.#lookAgain() : this.#lookLater();
  }

  #listen(nowMs: number): void {
    const { bytesRead } = this.#options.socket;
    if (bytesRead === this.#heardBytes) return;
    this.#heardBytes = bytesRead;
    this.#heardMs = nowMs;
    this.#askedMs = undefined;
    this.#isTold = false;
  }

  #wantsSign(nowMs: number): boolean {
    const isQuiet = this.#askedMs === undefined && nowMs - this.#heardMs >= AWAITED_MS - EARLY_MS;
    if (!isQuiet || this.#options.isAwaited()?.() !== true) return false;
    this.#askedMs = nowMs;
    return true;
  }

  #ping(nowMs: number): void {
    this.#pingedMs = nowMs;
    this.#options.session.ping((error, durationMs) => (this.#rttMs = error ? this.#rttMs : durationMs));
  }

  #lookAgain(): Timer {
    const { session, clock, onSilent } = this.#options;
    return clock.setTimer(LOOK_AGAIN_MS, () => {
      if (session.destroyed) return;
      this.#listen(clock.monotonicMs());
      this.#timer = this.#lookLater();
      if (this.#askedMs === undefined) return;
      this.#isTold = true;
      onSilent();
    });
  }
}

import type { Http2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { AWAITED_MS, LOOK_AGAIN_MS, SILENT_MS } from '../silence-times.ts';
import type { TransportLimits } from '../transport.ts';

/** A PING that takes so many times as long as the last one, at least, is not answered. */
const ROUND_TRIPS = 6;
/** A way on which no more gets through, bytes in a millisecond, is still one. */
const SLOW_BYTES_PER_MS = 16;

/** What is watched, and who is told. */
export interface LivenessOptions {
  readonly session: Pick<Http2Session, 'destroyed' | 'ping'>;
  readonly socket: Pick<Socket, 'bytesRead' | 'bytesWritten'>;
  readonly clock: Clock;
  readonly limits: Pick<TransportLimits, 'idleTimeoutMs' | 'keepAliveMs'>;
  /** The owner's answer to whether it waits for the peer; undefined: it does not say. */
  readonly isAwaited: () => (() => boolean) | undefined;
  /** The peer does not answer; once for each silence. */
  readonly onSilent: () => void;
  /** Nothing was heard for the idle time; called once, and nothing is watched after that. */
  readonly onDead: () => void;
}

/**
 * Watches whether the peer is still there. Anything that arrives on the socket counts as heard.
 *
 *     heard ── PING: every `keepAliveMs`, and while somebody waits each second ──> asked ── long enough ──> told
 *       ^                                                                                                    │
 *       └───────────────────────────── anything comes from the peer, in any state ──────────────────────────┘
 *
 * A PING waits behind what was written before it. So a peer has as long as that may take, judging by how fast the last ones were answered.
 */
export class Liveness {
  readonly #options: LivenessOptions;
  readonly #everyMs: number;
  #state: 'heard' | 'asked' | 'told' = 'heard';
  /** Until the connection is looked at for its own sake. */
  #keepTimer: Timer;
  /** Until the owner is asked whether it waits; undefined: it has not sent anything since. */
  #ownerTimer: Timer | undefined;
  #silenceTimer: Timer | undefined;
  #heardBytes: number;
  #heardMs: number;
  #rttMs: number | undefined;
  /** What had been written when the last PING was that has been answered, and when it was answered. */
  #taken: { readonly bytes: number; readonly atMs: number };
  /** How fast the peer took what was written, last. */
  #bytesPerMs = 0;

  constructor(options: LivenessOptions) {
    const { limits, socket, clock } = options;
    this.#options = options;
    this.#everyMs = Math.max(10, Math.min(limits.keepAliveMs || Infinity, limits.idleTimeoutMs / 3));
    this.#heardBytes = socket.bytesRead;
    this.#heardMs = clock.monotonicMs();
    this.#taken = { bytes: socket.bytesWritten, atMs: this.#heardMs };
    this.#keepTimer = this.#keepLater();
  }

  /** The latest measured round trip. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** The owner has sent something: it is asked after a while whether it waits for an answer. */
  sent(): void {
    if (this.#ownerTimer === undefined && this.#options.isAwaited()) this.#askOwnerLater();
  }

  stop(): void {
    this.#keepTimer.cancel();
    this.#ownerTimer?.cancel();
    this.#silenceTimer?.cancel();
  }

  #keepLater(): Timer {
    return this.#options.clock.setTimer(this.#everyMs, () => this.#keep());
  }

  #keep(): void {
    const { session, clock, limits } = this.#options;
    if (session.destroyed) return;
    if (this.#isIdle()) {
      this.#keepTimer = clock.setTimer(LOOK_AGAIN_MS, () => this.#endIfIdle());
      return;
    }
    if (limits.keepAliveMs > 0) this.#ping();
    this.#keepTimer = this.#keepLater();
  }

  #endIfIdle(): void {
    if (this.#isIdle()) this.#options.onDead();
    else this.#keep();
  }

  #isIdle(): boolean {
    this.#readSigns();
    return this.#options.clock.monotonicMs() - this.#heardMs >= this.#options.limits.idleTimeoutMs;
  }

  #askOwnerLater(): void {
    this.#ownerTimer = this.#options.clock.setTimer(AWAITED_MS, () => {
      this.#ownerTimer = undefined;
      if (this.#options.session.destroyed || this.#options.isAwaited()?.() !== true) return;
      this.#readSigns();
      if (this.#state === 'heard') this.#ping();
      this.#askOwnerLater();
    });
  }

  #ping(): void {
    const { session, socket, clock } = this.#options;
    const { bytesWritten } = socket;
    if (this.#state === 'heard') {
      this.#state = 'asked';
      this.#silenceTimer = clock.setTimer(this.#patienceMs(bytesWritten), () => this.#judge());
    }
    session.ping((error, durationMs) => {
      if (!error) this.#answered(bytesWritten, durationMs);
    });
  }

  #patienceMs(bytesWritten: number): number {
    const underWayMs = (bytesWritten - this.#taken.bytes) / Math.max(SLOW_BYTES_PER_MS, this.#bytesPerMs);
    return Math.max(SILENT_MS, ROUND_TRIPS * (this.#rttMs ?? 0)) + underWayMs;
  }

  #answered(bytes: number, rttMs: number): void {
    const atMs = this.#options.clock.monotonicMs();
    this.#rttMs = rttMs;
    this.#bytesPerMs = (bytes - this.#taken.bytes) / Math.max(1, atMs - this.#taken.atMs);
    this.#taken = { bytes, atMs };
    this.#heard();
  }

  #judge(): void {
    this.#readSigns();
    if (this.#state !== 'asked') return;
    this.#silenceTimer = this.#options.clock.setTimer(LOOK_AGAIN_MS, () => {
      this.#readSigns();
      if (this.#state !== 'asked') return;
      this.#state = 'told';
      this.#options.onSilent();
    });
  }

  #readSigns(): void {
    const { bytesRead } = this.#options.socket;
    if (bytesRead === this.#heardBytes) return;
    this.#heardBytes = bytesRead;
    this.#heard();
  }

  #heard(): void {
    this.#state = 'heard';
    this.#heardMs = this.#options.clock.monotonicMs();
    this.#silenceTimer?.cancel();
  }
}

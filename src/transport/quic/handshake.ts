import type { Clock } from '../../kernel/clock.ts';
import type { NativeConnection } from './native.ts';
import type { Side } from './stream.ts';

/** A client takes itself for connected after this long, even if the server has given no sign that it accepted the client. */
const CONFIRMATION_MS = 1_000;

/** How far the handshake of one connection has come, and how much time it has. */
export class Handshake {
  readonly #clock: Clock;
  readonly #side: Side;
  readonly #dueMs: number;
  #establishedMs: number | undefined;

  /** It begins now. @param timeoutMs how long it may take */
  constructor(clock: Clock, side: Side, timeoutMs: number) {
    this.#clock = clock;
    this.#side = side;
    this.#dueMs = clock.monotonicMs() + timeoutMs;
  }

  /** Whether this end may take itself for connected. */
  isComplete(native: NativeConnection): boolean {
    if (!native.isEstablished()) return false;
    const nowMs = this.#clock.monotonicMs();
    this.#establishedMs ??= nowMs;
    return this.#side === 'server' || isConfirmed(native) || nowMs >= this.#establishedMs + CONFIRMATION_MS;
  }

  /** When it has to be looked at again though nothing has come, on the monotonic clock. */
  get wakeMs(): number {
    return Math.min(this.#dueMs, (this.#establishedMs ?? Infinity) + CONFIRMATION_MS);
  }

  /** It has taken too long. */
  isLate(nowMs: number): boolean {
    return nowMs >= this.#dueMs;
  }
}

/**
 * Whether the server has shown that it accepts this client, certificate included: only after that it hands out spare
 * connection ids, tickets, or streams. TLS 1.3 alone leaves a client in the belief that it is connected.
 */
function isConfirmed(native: NativeConnection): boolean {
  return native.availableDcids() > 0 || native.session() !== null || native.isReadable();
}

import type { Http2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../../kernel/clock.ts';
import type { TransportLimits } from '../transport.ts';

/** Watches whether the peer is still there; `rttMs` is the latest measured round trip. */
export interface Liveness {
  readonly rttMs: number | undefined;
  stop(): void;
}

/**
 * Sends a PING at least every `keepAliveMs`, and calls `onDead` once after `idleTimeoutMs` of silence.
 * Anything that arrives on the socket counts as heard.
 */
export function watchLiveness(
  session: Http2Session,
  socket: Socket,
  clock: Clock,
  limits: Pick<TransportLimits, 'idleTimeoutMs' | 'keepAliveMs'>,
  onDead: () => void,
): Liveness {
  const { idleTimeoutMs, keepAliveMs } = limits;
  const everyMs = Math.max(10, Math.min(keepAliveMs || Infinity, idleTimeoutMs / 3));
  let timer: Timer;
  let rttMs: number | undefined;
  let heardBytes = socket.bytesRead;
  let heardAtMs = clock.monotonicMs();
  const look = (): void => {
    if (session.destroyed) return;
    const nowMs = clock.monotonicMs();
    if (socket.bytesRead !== heardBytes) {
      heardBytes = socket.bytesRead;
      heardAtMs = nowMs;
    }
    if (nowMs - heardAtMs >= idleTimeoutMs) {
      onDead();
      return;
    }
    if (keepAliveMs > 0) session.ping((error, durationMs) => (rttMs = error ? rttMs : durationMs));
    timer = clock.setTimer(everyMs, look);
  };
  timer = clock.setTimer(everyMs, look);
  return {
    get rttMs() {
      return rttMs;
    },
    stop: () => timer.cancel(),
  };
}

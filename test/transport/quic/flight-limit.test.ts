import { describe, expect, it } from 'vitest';
import { FlightLimit } from '../../../src/transport/quic/flight-limit.ts';
import type { NativeConnection } from '../../../src/transport/quic/native.ts';
import { ManualClock } from './manual-clock.ts';

const MiB = 1024 * 1024;

function setUp(cwnd: number) {
  const clock = new ManualClock();
  const limit = new FlightLimit(clock, 8 * MiB);
  const native = { pathStats: () => [{ active: true, cwnd, rtt: 20 }] } as unknown as NativeConnection;
  /** Sends as much as it may in portions of one MiB, at most `most` of them. */
  const send = (most: number): number => {
    let sent = 0;
    while (sent < most && limit.allowance(native) > 0) {
      limit.sent(MiB);
      sent += 1;
    }
    return sent;
  };
  return { clock, limit, send };
}

describe('flight limit', () => {
  it('does not touch a connection with a sane congestion window', () => {
    const { send } = setUp(8 * MiB);
    expect(send(100)).toBe(100);
  });

  it('holds a runaway congestion window to the bound', () => {
    const { send } = setUp(2 ** 50);
    // Four MiB go out before the first look at the window.
    expect(send(100)).toBe(4 + 8);
  });

  it('lets the next portion go after a round trip', () => {
    const { clock, limit, send } = setUp(2 ** 50);
    send(100);
    const waitMs = limit.resumeMs - clock.monotonicMs();
    clock.advance(waitMs);
    expect([waitMs, send(100)]).toEqual([20, 8]);
  });
});

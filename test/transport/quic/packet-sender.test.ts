import { describe, expect, it } from 'vitest';
import type { NativeConnection } from '../../../src/transport/quic/native.ts';
import { PacketSender } from '../../../src/transport/quic/packet-sender.ts';
import { PeerAddress } from '../../../src/transport/quic/peer-address.ts';
import { RepetitionBudget } from '../../../src/transport/quic/repetition-budget.ts';
import type { UdpSocket } from '../../../src/transport/quic/udp-socket.ts';
import { ManualClock } from './manual-clock.ts';

const PEER = { host: '192.0.2.1', port: 4433 };

/** A sender over a quiche that has `packets` to send, each one addressed to `to`, and has `lost` packets before. */
function setUp(packets: number, to = PEER, congested = false, lost = 0) {
  const clock = new ManualClock();
  const sentTo: number[] = [];
  const socket = {
    buffer: Buffer.alloc(2000),
    congested,
    send: (_length: number, target: { port: number }) => sentTo.push(target.port),
  } as unknown as UdpSocket;
  let left = packets;
  const native = {
    send: () => {
      left -= 1;
      return left < 0 ? null : [100, { to }];
    },
    timeout: () => 4,
    stats: () => ({ lost }),
  } as unknown as NativeConnection;
  const peer = new PeerAddress(PEER, { host: '0.0.0.0', port: 1 });
  const sender = new PacketSender(socket, peer, clock, new RepetitionBudget(clock, 4_096), 1350);
  return { clock, native, sender, sentTo };
}

describe('packet sender', () => {
  it('sends a turn’s worth and says that there is more', () => {
    const { native, sender, sentTo } = setUp(100);
    expect([sender.send(native), sentTo.length, sender.send(native), sentTo.length]).toEqual([
      true,
      64,
      false,
      100,
    ]);
  });

  it('sends where quiche says, if that is not where the last packet came from', () => {
    const { native, sender, sentTo } = setUp(2, { ...PEER, port: 5555 });
    sender.send(native);
    expect(sentTo).toEqual([5555, 5555]);
  });

  it('waits a moment while the kernel takes nothing', () => {
    const { clock, native, sender, sentTo } = setUp(2, PEER, true);
    sender.send(native);
    expect([sentTo, sender.resumeMs - clock.monotonicMs()]).toEqual([[], 1]);
  });

  it('repeats packets where losses are known, and once more a millisecond later', () => {
    const { clock, native, sender, sentTo } = setUp(66, PEER, false, 1);
    sender.send(native);
    sentTo.length = 0;
    sender.send(native);
    const atOnce = sentTo.length;
    const waitMs = sender.repeatDueMs - clock.monotonicMs();
    clock.advance(waitMs);
    sender.repeat(native);
    expect([atOnce, waitMs, sentTo.length, sender.repeatDueMs]).toEqual([4, 1, 6, Infinity]);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NativeConnection } from '../../../src/transport/quic/native.ts';
import { SendQueue } from '../../../src/transport/quic/send-queue.ts';
import type { QuicSendStream, SendState } from '../../../src/transport/quic/send-stream.ts';

const SCRATCH = Buffer.alloc(0);
const NATIVE = {} as NativeConnection;

/** A sending half whose peer takes as many bytes as it is given room for. */
class Half {
  state: SendState = 'idle';
  urgency = 3;
  filedUrgency = 0;
  room = 0;
  buffered = 0;
  taken = 0;
  readonly id: number;

  constructor(id: number) {
    this.id = id;
  }

  get pending(): boolean {
    return this.buffered > 0;
  }

  flush(_native: NativeConnection, maxBytes: number): number {
    const taken = Math.min(this.room, this.buffered, maxBytes);
    this.room -= taken;
    this.buffered -= taken;
    this.taken += taken;
    if (this.buffered > 0 && taken < maxBytes) this.state = 'blocked';
    return taken;
  }

  tellWritable(): void {
    // Nobody writes more.
  }
}

const asHalf = (half: Half): QuicSendStream => half as unknown as QuicSendStream;

describe('the queue of senders', () => {
  it('comes to an end when the urgency of a blocked stream changes', () => {
    const queue = new SendQueue();
    const half = new Half(3);
    half.buffered = 10;
    queue.add(asHalf(half));
    queue.hand(NATIVE, 1000, SCRATCH);
    half.urgency = 4;
    queue.roomMayHaveCome(NATIVE);
    queue.hand(NATIVE, 1000, SCRATCH);
    half.room = 10;
    queue.roomMayHaveCome(NATIVE);
    queue.hand(NATIVE, 1000, SCRATCH);
    half.buffered = 10;
    queue.add(asHalf(half));
    queue.roomMayHaveCome(NATIVE);
    queue.hand(NATIVE, 1000, SCRATCH);
    expect([half.taken, half.state]).toEqual([10, 'blocked']);
  });

  it('forgets no stream and tries none for ever, whatever happens to them', () => {
    const step = fc.record({
      half: fc.nat(4),
      write: fc.nat(200),
      room: fc.nat(200),
      urgency: fc.option(fc.nat(3)),
      budget: fc.integer({ min: 1, max: 300 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queue = new SendQueue();
        const halves = Array.from({ length: 5 }, (_, n) => new Half(n * 4 + 3));
        for (const { half: n, write, room, urgency, budget } of steps) {
          const half = halves[n]!;
          half.buffered += write;
          half.room += room;
          if (urgency !== null) half.urgency = urgency;
          if (half.pending) queue.add(asHalf(half));
          queue.roomMayHaveCome(NATIVE);
          queue.hand(NATIVE, budget, SCRATCH);
        }
        for (const half of halves) half.room = Infinity;
        for (let turn = 0; turn < 200 && halves.some(({ pending }) => pending); turn++) {
          queue.roomMayHaveCome(NATIVE);
          queue.hand(NATIVE, 1000, SCRATCH);
        }
        expect(halves.map(({ buffered, state }) => [buffered, state])).toEqual(halves.map(() => [0, 'idle']));
        for (let turn = 0; turn < 3; turn++) queue.hand(NATIVE, 1000, SCRATCH);
        expect(queue.busy).toBe(false);
      }),
    );
  });
});

import { describe, expect, it } from 'vitest';
import type { NativeConnection } from '../../../src/transport/quic/native.ts';
import { RepetitionBudget } from '../../../src/transport/quic/repetition-budget.ts';
import { MAX_TURN_BYTES, Repetition } from '../../../src/transport/quic/repetition.ts';
import { ManualClock } from './manual-clock.ts';

const PEER = { host: '192.0.2.1', port: 4433 };
const IDLE_MS = 30_000;
const PROBE_MS = 4;
const FAR_PROBE_MS = 30;
/** The smallest packet that may have a record in it. */
const RECORD = 'record'.padEnd(64, '.');

/** A repetition over a quiche that has lost `lost` packets and whose next timer comes in `timeoutMs`. */
function setUp() {
  const clock = new ManualClock();
  const quiche = { lost: 0, timeoutMs: PROBE_MS, looks: 0 };
  const native = {
    timeout: () => quiche.timeoutMs,
    stats: () => {
      quiche.looks += 1;
      return { lost: quiche.lost };
    },
  } as unknown as NativeConnection;
  const budget = new RepetitionBudget(clock, MAX_TURN_BYTES);
  const repetition = new Repetition(clock, budget);
  const copies: string[] = [];
  const send = (packet: Uint8Array): void => {
    copies.push(Buffer.from(packet).toString());
  };
  /** A turn of these packets. @returns what was repeated at once */
  const turn = (...packets: string[]): string[] => {
    copies.length = 0;
    repetition.begin();
    // One buffer for all, as the socket has.
    const buffer = Buffer.alloc(8_192);
    for (const packet of packets) repetition.sent(buffer, buffer.write(packet), PEER);
    repetition.end(native, clock.monotonicMs(), send);
    return [...copies];
  };
  /** What is repeated `afterMs` later. */
  const later = (afterMs: number): string[] => {
    copies.length = 0;
    clock.advance(afterMs);
    repetition.repeat(native, send);
    return [...copies];
  };
  /** Makes it known that packets were lost. */
  const lose = (): void => {
    quiche.lost += 1;
    for (let n = 0; n < 9; n += 1) {
      clock.advance(100);
      turn('filler');
    }
    later(1);
  };
  return { clock, quiche, budget, repetition, turn, later, lose };
}

describe('repetition', () => {
  it('repeats nothing in a handshake, and wants no timer', () => {
    const { repetition, turn, later } = setUp();
    const copies = Array.from({ length: 100 }, () => [...turn(RECORD), ...later(50)]).flat();
    expect([copies, repetition.dueMs]).toEqual([[], Infinity]);
  });

  it('repeats the packets of a turn at once and after a millisecond when packets were lost', () => {
    const { turn, later, lose } = setUp();
    lose();
    expect([turn('one', 'two'), later(0.5), later(0.5), later(1)]).toEqual([
      ['one', 'two'],
      [],
      ['one', 'two'],
      [],
    ]);
  });

  it('sends no second copy of what was acknowledged in time', () => {
    const { quiche, turn, later, lose } = setUp();
    lose();
    turn('record');
    quiche.timeoutMs = IDLE_MS;
    expect(later(1)).toEqual([]);
  });

  it('does not repeat what needs no acknowledgement', () => {
    const { quiche, repetition, turn, lose } = setUp();
    lose();
    quiche.timeoutMs = IDLE_MS;
    expect([turn('acknowledgement'), repetition.dueMs]).toEqual([[], Infinity]);
  });

  it('repeats packets of two turns together when the second comes before the copies of the first', () => {
    const { clock, turn, later, lose } = setUp();
    lose();
    turn('one');
    clock.advance(0.5);
    expect([turn('two'), later(0.5)]).toEqual([['two'], ['one', 'two']]);
  });

  it('does not repeat a turn of more than 4 KiB, but what was kept before it', () => {
    const { turn, later, lose } = setUp();
    lose();
    turn('small');
    expect([
      turn('x'.repeat(1_300), 'x'.repeat(1_300), 'x'.repeat(1_300), 'x'.repeat(1_300)),
      later(1),
    ]).toEqual([[], ['small']]);
  });

  it('repeats no more than 128 KiB a second', () => {
    const { clock, turn, later, lose } = setUp();
    lose();
    clock.advance(1_000);
    const copiesOfTurns = (turns: number): number => {
      let copies = 0;
      for (let n = 0; n < turns; n += 1) copies += turn('x'.repeat(1_024)).length + later(2).length;
      return copies;
    };
    expect([copiesOfTurns(400), later(200).length, copiesOfTurns(10)]).toEqual([128, 0, 20]);
  });

  it('stops half a minute after the last loss', () => {
    const { clock, turn, lose } = setUp();
    lose();
    clock.advance(28_000);
    const before = turn('record');
    clock.advance(2_000);
    for (let n = 0; n < 9; n += 1) turn('filler');
    expect([before, turn('record')]).toEqual([['record'], []]);
  });

  it('asks quiche for losses at most every 100 ms, and not for every few packets', () => {
    const { clock, quiche, turn } = setUp();
    for (let n = 0; n < 1_000; n += 1) {
      turn('record');
      clock.advance(1);
    }
    const often = quiche.looks;
    for (let n = 0; n < 80; n += 1) {
      turn('record');
      clock.advance(1_000);
    }
    expect([often, quiche.looks - often]).toEqual([10, 10]);
  });

  it('looks with the next packet when a timer for lost packets has run out', () => {
    const { clock, quiche, repetition, turn } = setUp();
    quiche.lost = 1;
    clock.advance(1_000);
    repetition.suspect();
    turn('record');
    expect(turn('next')).toEqual(['next']);
  });

  describe('while nothing is lost', () => {
    it('repeats what is not acknowledged within a millisecond, once', () => {
      const { repetition, turn, later } = setUp();
      repetition.protect();
      expect([turn(RECORD), later(0.5), later(0.5), later(5)]).toEqual([[], [], [RECORD], []]);
    });

    it('repeats nothing that is acknowledged within a millisecond, and wants no timer', () => {
      const { quiche, repetition, turn, later } = setUp();
      repetition.protect();
      turn(RECORD);
      quiche.timeoutMs = IDLE_MS;
      repetition.settle(quiche.timeoutMs);
      expect([repetition.dueMs, later(5)]).toEqual([Infinity, []]);
    });

    it('repeats at once, and once, where no acknowledgement can come so soon', () => {
      const { quiche, repetition, turn, later } = setUp();
      repetition.protect();
      quiche.timeoutMs = FAR_PROBE_MS;
      expect([turn(RECORD), repetition.dueMs, later(5)]).toEqual([[RECORD], Infinity, []]);
    });

    it('repeats no packet that is too small for a record', () => {
      const { quiche, repetition, turn, later } = setUp();
      repetition.protect();
      const near = [turn(RECORD.slice(1)), later(5)];
      quiche.timeoutMs = FAR_PROBE_MS;
      expect([near, turn(RECORD.slice(1), RECORD)]).toEqual([[[], []], [RECORD]]);
    });

    it('repeats nothing of a connection with more than 1,000 packets a second until it is slow again', () => {
      const { clock, quiche, repetition, turn } = setUp();
      repetition.protect();
      quiche.timeoutMs = FAR_PROBE_MS;
      const copiesInSecond = (packets: number): number => {
        let copies = 0;
        for (let n = 0; n < packets; n += 1) {
          copies += turn(RECORD).length;
          clock.advance(1_000 / packets);
        }
        return copies;
      };
      const fast = [copiesInSecond(2_000), copiesInSecond(2_000), copiesInSecond(500)];
      // The first packet after the slow second makes it known.
      expect([fast, copiesInSecond(500)]).toEqual([[1_000, 0, 0], 499]);
    });

    it('repeats nothing once others have used what all may, unless packets were lost', () => {
      const { quiche, budget, repetition, turn, lose } = setUp();
      repetition.protect();
      quiche.timeoutMs = FAR_PROBE_MS;
      while (budget.take());
      const before = turn(RECORD);
      lose();
      while (budget.take());
      expect([before, turn(RECORD)]).toEqual([[], [RECORD]]);
    });
  });
});

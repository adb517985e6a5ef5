import { describe, expect, it } from 'vitest';
import { Deadline } from '../../../src/transport/quic/deadline.ts';
import { ManualClock } from './manual-clock.ts';

function setUp() {
  const clock = new ManualClock();
  const firedMs: number[] = [];
  const startMs = clock.monotonicMs();
  const deadline = new Deadline(clock, () => firedMs.push(clock.monotonicMs() - startMs));
  const set = (inMs: number): void => deadline.set(clock.monotonicMs() + inMs);
  return { clock, deadline, set, firedMs };
}

describe('deadline', () => {
  it('fires at its time, once', () => {
    const { clock, set, firedMs } = setUp();
    set(10);
    clock.advance(100);
    expect(firedMs).toEqual([10]);
  });

  it('that is moved on all the time touches few timers', () => {
    const { clock, set, firedMs } = setUp();
    for (let i = 0; i < 1_000; i += 1) {
      set(50);
      clock.advance(1);
    }
    expect([firedMs, clock.timersSet < 30]).toEqual([[], true]);
  });

  it('that is moved on fires at the later time', () => {
    const { clock, set, firedMs } = setUp();
    set(10);
    clock.advance(5);
    set(10);
    clock.advance(100);
    expect(firedMs).toEqual([15]);
  });

  it('that is moved nearer fires at the earlier time', () => {
    const { clock, set, firedMs } = setUp();
    set(100);
    set(10);
    clock.advance(200);
    expect(firedMs).toEqual([10]);
  });

  it('that is cleared does not fire', () => {
    const { clock, deadline, set, firedMs } = setUp();
    set(10);
    deadline.clear();
    clock.advance(100);
    expect(firedMs).toEqual([]);
  });
});

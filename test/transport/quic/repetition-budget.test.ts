import { describe, expect, it } from 'vitest';
import { RepetitionBudget } from '../../../src/transport/quic/repetition-budget.ts';
import { ManualClock } from './manual-clock.ts';

function setUp() {
  const clock = new ManualClock();
  const budget = new RepetitionBudget(clock, 16);
  const takeAll = (): number => {
    let copies = 0;
    while (budget.take()) copies += 1;
    return copies;
  };
  return { clock, budget, takeAll };
}

describe('repetition budget', () => {
  it('has a thousand copies for each second', () => {
    const { clock, takeAll } = setUp();
    const counts = [takeAll()];
    clock.advance(999);
    counts.push(takeAll());
    clock.advance(1);
    counts.push(takeAll());
    expect(counts).toEqual([1_000, 0, 1_000]);
  });

  it('lends a buffer again that was given back', () => {
    const { budget } = setUp();
    const first = budget.lend();
    const second = budget.lend();
    budget.takeBack(first);
    expect([second === first, budget.lend() === first, budget.lend().length]).toEqual([false, true, 16]);
  });

  it('keeps no more than 64 buffers', () => {
    const { budget } = setUp();
    const buffers = Array.from({ length: 100 }, () => budget.lend());
    for (const buffer of buffers) budget.takeBack(buffer);
    const again = Array.from({ length: 100 }, () => budget.lend());
    expect(again.filter((buffer) => buffers.includes(buffer))).toHaveLength(64);
  });
});

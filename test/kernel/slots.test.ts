import { describe, expect, it } from 'vitest';
import { Slots } from '../../src/kernel/slots.ts';
import { turns } from '../support/turns.ts';

describe('slots', () => {
  it('let no more happen at once than there are, in order, also when one fails', async () => {
    const slots = new Slots(2);
    const started: number[] = [];
    const ends: (() => void)[] = [];
    const done = [0, 1, 2, 3].map((n) =>
      slots.run(async () => {
        started.push(n);
        await new Promise<void>((resolve) => ends.push(resolve));
        if (n === 1) throw new Error('failed');
      }),
    );
    const settled = Promise.allSettled(done);
    expect([started, slots.waitingCount]).toEqual([[0, 1], 2]);
    ends[1]!();
    await turns(1);
    expect(started).toEqual([0, 1, 2]);
    ends[0]!();
    await turns(1);
    expect(started).toEqual([0, 1, 2, 3]);
    for (const end of ends.slice(2)) end();
    expect((await settled).map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ]);
  });
});

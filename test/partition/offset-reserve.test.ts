import { describe, expect, it } from 'vitest';
import { SluiceError } from '../../src/kernel/errors.ts';
import { OffsetReserve } from '../../src/partition/offset-reserve.ts';
import { FakeClock } from '../support/fake-clock.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const coded = (code: string): Error => expect.objectContaining({ code }) as Error;

function open(reserve: (ceiling: number) => Promise<void>): { reserve: OffsetReserve; clock: FakeClock } {
  const clock = new FakeClock();
  return { clock, reserve: new OffsetReserve({ clock, ceiling: 1000, block: 1000, reserve }) };
}

describe('an offset reserve', () => {
  it('reserves the next block when half of one is left, and only once', async () => {
    const asked: number[] = [];
    const { reserve } = open((ceiling) => {
      asked.push(ceiling);
      return Promise.resolve();
    });
    reserve.take(500);
    expect(asked).toEqual([]);
    reserve.take(501);
    reserve.take(900);
    await turn();
    reserve.take(1500);
    expect(asked).toEqual([2000]);
  });

  it('refuses to go above the ceiling before more is durable', () => {
    const { reserve } = open(() => new Promise(() => undefined));
    reserve.take(1000);
    expect(() => reserve.take(1001)).toThrow(coded('OVERLOADED'));
  });

  it('goes on to the ceiling while reserving fails, then says why, and recovers', async () => {
    let full = true;
    const { reserve, clock } = open(() =>
      full ? Promise.reject(new SluiceError('STORAGE_FULL', 'disk full')) : Promise.resolve(),
    );
    reserve.take(600);
    await turn();
    reserve.take(1000);
    expect(() => reserve.take(1001)).toThrow(coded('STORAGE_FULL'));
    full = false;
    clock.advance(1000);
    expect(() => reserve.take(1001)).toThrow(coded('STORAGE_FULL'));
    await turn();
    expect(() => reserve.take(1001)).not.toThrow();
  });

  it('does not try again at every append while it fails', async () => {
    let tries = 0;
    const { reserve, clock } = open(() => {
      tries++;
      return Promise.reject(new SluiceError('STORAGE_FULL', 'disk full'));
    });
    for (let end = 600; end < 700; end++) {
      reserve.take(end);
      await turn();
    }
    clock.advance(1000);
    reserve.take(700);
    expect(tries).toBe(2);
  });
});

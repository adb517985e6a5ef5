import { describe, expect, it } from 'vitest';
import { RateLimit } from '../../src/kernel/rate-limit.ts';
import { FakeClock } from '../support/fake-clock.ts';

describe('rate limit', () => {
  it('gives what it holds at once and then as much as flows in', () => {
    const clock = new FakeClock();
    const limit = new RateLimit(clock, 10, 3);
    const atOnce = Array.from({ length: 4 }, () => limit.take());
    clock.advance(100);
    expect([atOnce, limit.take(), limit.take()]).toEqual([[true, true, true, false], true, false]);
  });

  it('holds no more than the burst, however long it was quiet', () => {
    const clock = new FakeClock();
    const limit = new RateLimit(clock, 10, 2);
    clock.advance(60_000);
    expect(Array.from({ length: 3 }, () => limit.take())).toEqual([true, true, false]);
  });

  it('says how long to wait for the next one', () => {
    const clock = new FakeClock();
    const limit = new RateLimit(clock, 10, 1);
    const before = limit.waitMs;
    limit.take();
    clock.advance(40);
    expect([before, limit.waitMs]).toEqual([0, 60]);
  });

  it('is full again when everything has flowed in', () => {
    const clock = new FakeClock();
    const limit = new RateLimit(clock, 10, 1);
    limit.take();
    const after = limit.full;
    clock.advance(100);
    expect([after, limit.full]).toEqual([false, true]);
  });

  it('fills up evenly, also when it is asked all the time', () => {
    const { clock, take } = emptied(1_000);
    let allowed = 0;
    for (let ms = 0; ms < 500; ms += 1) {
      clock.advance(1);
      allowed += take(3);
    }
    expect(allowed).toBe(500);
  });

  it('gives as much at once as a second has, and saves up no more, where nothing is said of a burst', () => {
    const { clock, take, first } = emptied(1_000);
    clock.advance(60_000);
    expect([first, take(2_000)]).toEqual([1_000, 1_000]);
  });
});

/** A limit of which everything was taken that it had. */
function emptied(perSecond: number) {
  const clock = new FakeClock();
  const limit = new RateLimit(clock, perSecond);
  /** How many of `asked` are allowed. */
  const take = (asked: number): number =>
    Array.from({ length: asked }, () => limit.take()).filter(Boolean).length;
  return { clock, take, first: take(perSecond + 500) };
}

import { beforeEach, describe, expect, it } from 'vitest';
import { ProducerRate } from '../../src/broker/producer-rate.ts';
import { FakeClock } from '../support/fake-clock.ts';

const ALICE = { name: 'alice' };
let clock: FakeClock;
let rate: ProducerRate;

beforeEach(() => {
  clock = new FakeClock();
  rate = new ProducerRate(clock);
});

/** How many a principal gets now before it is refused. */
function takeAll(principal = ALICE): number {
  for (let taken = 0; ; taken++) {
    try {
      rate.take(principal);
    } catch (error) {
      expect(error).toMatchObject({ code: 'OVERLOADED' });
      return taken;
    }
  }
}

describe('producer ids of one principal', () => {
  it('are given to many clients that start at once, and evenly after that', () => {
    expect(takeAll()).toBe(2000);
    clock.advance(1000);
    expect(takeAll()).toBe(200);
    clock.advance(60_000);
    expect(takeAll()).toBe(2000);
  });

  it('are no business of another one', () => {
    takeAll();
    expect(takeAll({ name: 'bob' })).toBe(2000);
  });

  it('are counted for those who asked last, of many', () => {
    takeAll();
    for (let n = 0; n < 4095; n++) rate.take({ name: `${n}` });
    expect(takeAll()).toBe(0);
    for (let n = 0; n < 4096; n++) rate.take({ name: `${n}` });
    expect(takeAll()).toBe(2000);
  });
});

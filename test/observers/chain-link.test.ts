import { beforeEach, describe, expect, it } from 'vitest';
import { ChainLink } from '../../src/observers/chain-link.ts';
import { FakeClock } from '../support/fake-clock.ts';

let clock: FakeClock;
let link: ChainLink;

beforeEach(() => {
  clock = new FakeClock();
  link = new ChainLink(clock);
});

describe('a copy in a chain', () => {
  it('is a relay once a replica has answered, until a relay is asked', () => {
    expect([link.isRelay, link.isChained]).toEqual([false, false]);
    link.answered(false);
    expect([link.isRelay, link.isChained]).toEqual([true, false]);
    link.asksRelay();
    expect([link.isRelay, link.isChained]).toEqual([false, false]);
  });

  it('is no relay while one feeds it', () => {
    link.answered(false);
    link.answered(true);
    expect([link.isRelay, link.isChained]).toEqual([false, true]);
    link.answered(false);
    expect([link.isRelay, link.isChained]).toEqual([true, false]);
  });

  it('is no relay when it has heard nothing of a replica, or has been behind it, for two seconds', () => {
    link.answered(false);
    clock.advance(2000);
    link.caughtUp();
    expect(link.isRelay).toBe(true);
    clock.advance(1);
    expect(link.isRelay).toBe(false);
    link.answered(false);
    clock.advance(2000);
    link.answered(false);
    expect([link.isRelay, link.behindMs]).toEqual([false, 2001]);
    link.caughtUp();
    expect([link.isRelay, link.behindMs]).toEqual([true, 0]);
  });
});

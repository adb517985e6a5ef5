import { describe, expect, it } from 'vitest';
import { AnswerLimit } from '../../../src/transport/quic/answer-limit.ts';
import { ManualClock } from './manual-clock.ts';

const PER_SECOND = 1_000;

function setUp() {
  const clock = new ManualClock();
  const limit = new AnswerLimit(clock, PER_SECOND);
  /** How many of `asked` are allowed. */
  const take = (asked: number): number =>
    Array.from({ length: asked }, () => limit.take()).filter(Boolean).length;
  return { clock, take };
}

describe('answer limit', () => {
  it('lets as many go at once as a second has', () => {
    expect(setUp().take(PER_SECOND + 500)).toBe(PER_SECOND);
  });

  it('fills up evenly, also when it is asked all the time', () => {
    const { clock, take } = setUp();
    take(PER_SECOND);
    let allowed = 0;
    for (let ms = 0; ms < 500; ms += 1) {
      clock.advance(1);
      allowed += take(3);
    }
    expect(allowed).toBe(PER_SECOND / 2);
  });

  it('saves nothing up beyond a second', () => {
    const { clock, take } = setUp();
    clock.advance(60_000);
    expect(take(2 * PER_SECOND)).toBe(PER_SECOND);
  });
});

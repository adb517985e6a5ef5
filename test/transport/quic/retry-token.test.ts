import { describe, expect, it } from 'vitest';
import { systemRandom } from '../../../src/kernel/random.ts';
import { RetryTokens } from '../../../src/transport/quic/retry-token.ts';
import { pattern } from '../../support/transport-streams.ts';
import { ManualClock } from './manual-clock.ts';

const CLIENT = { host: '192.0.2.1', port: 4433 };
const ORIGINAL_ID = pattern(8);
const RETRY_ID = pattern(20, 7);

function setUp() {
  const clock = new ManualClock();
  const tokens = new RetryTokens(clock, systemRandom);
  return { clock, tokens, token: tokens.issue(CLIENT, ORIGINAL_ID, RETRY_ID) };
}

describe('retry token', () => {
  it('gives the original id back', () => {
    const { tokens, token } = setUp();
    expect(tokens.verify(token, CLIENT, RETRY_ID)).toEqual(ORIGINAL_ID);
  });

  it.each([
    ['another address', { ...CLIENT, host: '192.0.2.2' }, RETRY_ID],
    ['another port', { ...CLIENT, port: 4434 }, RETRY_ID],
    ['another connection id', CLIENT, pattern(20, 8)],
  ])('is worth nothing from %s', (_what, client, retryId) => {
    const { tokens, token } = setUp();
    expect(tokens.verify(token, client, retryId)).toBeUndefined();
  });

  it('expires', () => {
    const { clock, tokens, token } = setUp();
    clock.advance(9_999);
    const before = tokens.verify(token, CLIENT, RETRY_ID);
    clock.advance(2);
    expect([before, tokens.verify(token, CLIENT, RETRY_ID)]).toEqual([ORIGINAL_ID, undefined]);
  });

  it('of another listener is worth nothing', () => {
    const { clock, token } = setUp();
    expect(new RetryTokens(clock, systemRandom).verify(token, CLIENT, RETRY_ID)).toBeUndefined();
  });

  it('with any bit flipped or any byte cut is worth nothing', () => {
    const { tokens, token } = setUp();
    const forged: Buffer[] = [];
    for (let at = 0; at < token.length; at += 1) {
      const flipped = Buffer.from(token);
      flipped[at] = flipped[at]! ^ 1;
      forged.push(flipped, token.subarray(0, at));
    }
    expect(forged.filter((bytes) => tokens.verify(bytes, CLIENT, RETRY_ID) !== undefined)).toEqual([]);
  });
});

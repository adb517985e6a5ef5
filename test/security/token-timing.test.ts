import * as crypto from 'node:crypto';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { systemRandom } from '../../src/kernel/random.ts';
import type { TokenStore } from '../../src/security/token.ts';
import { authenticateToken, createMemoryTokenStore, createToken } from '../../src/security/token.ts';
import { FakeClock } from '../support/fake-clock.ts';

vi.mock('node:crypto', async (original) => {
  const real = await original<typeof crypto>();
  return { ...real, timingSafeEqual: vi.fn(real.timingSafeEqual), createHash: vi.fn(real.createHash) };
});

const ADMIN_TOKEN = 'x'.repeat(40);

/** What a refusal costs must not depend on why: then how long it takes tells nothing. */
describe('refusing a token', () => {
  const clock = new FakeClock();
  let store: TokenStore;
  let token: string;
  let expired: string;

  beforeEach(async () => {
    store = createMemoryTokenStore();
    const good = createToken({ name: 'ingest' }, clock, systemRandom);
    const late = createToken({ name: 'ingest', lifetimeMs: 0 }, clock, systemRandom);
    await store.put(good.record);
    await store.put(late.record);
    token = good.token;
    expired = late.token;
    vi.mocked(crypto.timingSafeEqual).mockClear();
    vi.mocked(crypto.createHash).mockClear();
  });

  it.each([
    ['its id is unknown', () => `slt_${'0'.repeat(16)}_${token.slice(21)}`],
    ['its secret is another', () => `${token.slice(0, 21)}${'A'.repeat(43)}`],
    [
      'its secret differs in one character',
      () => `${token.slice(0, 30)}${token[30] === 'A' ? 'B' : 'A'}${token.slice(31)}`,
    ],
    ['it has expired', () => expired],
    ['it is none', () => 'hunter2'],
    ['it is nearly the administrator’s', () => `${ADMIN_TOKEN.slice(1)}y`],
  ])('takes the same comparisons of hashes when %s', (_what, make) => {
    const shown = make();
    expect(() => authenticateToken(store, shown, clock, ADMIN_TOKEN)).toThrow(
      expect.objectContaining({ code: 'UNAUTHENTICATED' }) as Error,
    );
    const lengths = vi
      .mocked(crypto.timingSafeEqual)
      .mock.calls.map(([a, b]) => [a.byteLength, b.byteLength]);
    expect(lengths).toEqual([
      [32, 32], // with the administrator's
      [32, 32], // with the one that has this id, or with nothing
    ]);
    expect(crypto.createHash).toHaveBeenCalledTimes(3);
  });
});

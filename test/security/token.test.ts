import { beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../src/kernel/clock.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { ANONYMOUS } from '../../src/security/principal.ts';
import type { TokenRequest, TokenStore } from '../../src/security/token.ts';
import {
  authenticateToken,
  createMemoryTokenStore,
  createToken,
  isTokenStillValid,
  tokenRecordSchema,
} from '../../src/security/token.ts';

const unauthenticated = expect.objectContaining({ code: 'UNAUTHENTICATED' }) as Error;

describe('tokens', () => {
  let store: TokenStore;
  let nowMs: number;
  const clock: Clock = {
    now: () => nowMs,
    monotonicMs: () => 0,
    setTimer: () => ({ cancel: () => undefined }),
  };
  const issue = async (request: Partial<TokenRequest> = {}): Promise<string> => {
    const { token, record } = createToken({ name: 'billing', ...request }, clock, systemRandom);
    await store.put(record);
    return token;
  };

  beforeEach(() => {
    store = createMemoryTokenStore();
    nowMs = 1_000_000;
  });

  it('turns a token into its principal', async () => {
    const rights = [{ topic: 'orders.*', operations: ['publish' as const] }];
    const token = await issue({ rights });
    const principal = authenticateToken(store, token, clock);
    expect(principal).toEqual({
      name: 'billing',
      kind: 'token',
      admin: false,
      rights,
      tokenId: token.slice(4, 20),
    });
  });

  it('keeps no secret in the record', () => {
    const { token, record } = createToken({ name: 'billing' }, clock, systemRandom);
    expect(JSON.stringify(record)).not.toContain(token.slice(21));
  });

  it('keeps records that survive JSON', () => {
    const { record } = createToken({ name: 'billing', lifetimeMs: 5 }, clock, systemRandom);
    expect(tokenRecordSchema.parse(JSON.parse(JSON.stringify(record)))).toEqual(record);
  });

  it.each([
    [
      'another secret',
      (token: string) => token.slice(0, -2) + (token.at(-2) === 'A' ? 'B' : 'A') + token.at(-1)!,
    ],
    ['an unknown id', (token: string) => `slt_${'0'.repeat(16)}_${token.slice(21)}`],
    ['no secret', (token: string) => token.slice(0, 21)],
    ['something else', () => 'hunter2'],
    ['something appended', (token: string) => `${token}\n`],
  ])('refuses a token with %s', async (_what, change) => {
    const token = change(await issue());
    expect(() => authenticateToken(store, token, clock)).toThrow(unauthenticated);
  });

  it('refuses a token from the millisecond in which it expires', async () => {
    const token = await issue({ lifetimeMs: 100 });
    nowMs += 99;
    expect(authenticateToken(store, token, clock)).toMatchObject({ name: 'billing' });
    nowMs += 1;
    expect(() => authenticateToken(store, token, clock)).toThrow(unauthenticated);
  });

  it('refuses a deleted token', async () => {
    const token = await issue();
    await store.delete(token.slice(4, 20));
    expect(() => authenticateToken(store, token, clock)).toThrow(unauthenticated);
  });

  it('knows of a principal whether its token is still good', async () => {
    const [kept, expiring, deleted] = [await issue(), await issue({ lifetimeMs: 100 }), await issue()];
    const principals = [kept, expiring, deleted].map((token) => authenticateToken(store, token, clock));
    const stillValid = () => principals.map((principal) => isTokenStillValid(store, principal, clock));
    expect(stillValid()).toEqual([true, true, true]);
    await store.delete(deleted.slice(4, 20));
    nowMs += 100;
    expect(stillValid()).toEqual([true, false, false]);
    expect(isTokenStillValid(store, ANONYMOUS, clock)).toBe(true);
  });

  it('takes the configured administrator’s token, and nothing near it', () => {
    const configured = 'x'.repeat(32);
    const admin = authenticateToken(store, configured, clock, configured);
    expect(admin).toMatchObject({ name: 'admin', admin: true });
    expect(() => authenticateToken(store, 'x'.repeat(31), clock, configured)).toThrow(unauthenticated);
  });

  it('makes no token for a right without operations', () => {
    const request = { name: 'billing', rights: [{ topic: 'orders', operations: [] }] };
    expect(() => createToken(request, clock, systemRandom)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as Error,
    );
  });
});

import type { Clock } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';
import type { TokenRecord, TokenStore } from '../security/token.ts';
import { createToken } from '../security/token.ts';
import type { AccessControl } from './access-control.ts';
import type { NewToken, Principal, TokenDescription } from './ports.ts';

/** Making, listing and revoking tokens: for who administers the node. */
export class Tokens {
  readonly #store: TokenStore;
  readonly #access: AccessControl;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(store: TokenStore, access: AccessControl, clock: Clock, random: Random) {
    this.#store = store;
    this.#access = access;
    this.#clock = clock;
    this.#random = random;
  }

  /** @throws FORBIDDEN, INVALID_ARGUMENT, STORAGE_FULL, STORAGE_FAILED */
  async create(
    principal: Principal,
    request: NewToken,
  ): Promise<{ readonly id: string; readonly token: string }> {
    this.#access.check(principal, 'admin', undefined);
    const lifetimeMs = request.expiresMs - Math.floor(this.#clock.now());
    if (request.expiresMs !== 0 && lifetimeMs <= 0) {
      throw new SluiceError('INVALID_ARGUMENT', 'the token would have expired already; 0 is never');
    }
    const { token, record } = createToken(
      {
        name: request.principal,
        rights: request.grants.map(({ topics, operations }) => ({ topic: topics, operations })),
        ...(request.expiresMs === 0 ? {} : { lifetimeMs }),
      },
      this.#clock,
      this.#random,
    );
    await this.#store.put(record);
    return { id: record.id, token };
  }

  /** @throws FORBIDDEN */
  list(principal: Principal): readonly TokenDescription[] {
    this.#access.check(principal, 'admin', undefined);
    return this.#store.list().map(describe);
  }

  /** @throws FORBIDDEN, TOKEN_NOT_FOUND, STORAGE_FULL, STORAGE_FAILED */
  async revoke(principal: Principal, id: string): Promise<void> {
    this.#access.check(principal, 'admin', undefined);
    if (await this.#store.delete(id)) return;
    throw new SluiceError('TOKEN_NOT_FOUND', 'there is no token with that id');
  }
}

function describe(record: TokenRecord): TokenDescription {
  return {
    id: record.id,
    principal: record.name,
    grants: record.rights.map(({ topic, operations }) => ({ topics: topic, operations })),
    createdMs: record.createdAtMs,
    expiresMs: record.expiresAtMs ?? 0,
  };
}

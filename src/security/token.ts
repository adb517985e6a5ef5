import { createHash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';
import type { Principal, Right } from './principal.ts';
import { OPERATIONS } from './principal.ts';

/**
 * Tokens look like `slt_<id>_<secret>`: id is 16 hexadecimal digits and may be shown, secret is 32 random bytes in base64url.
 * At rest there is only SHA-256 of the secret: with 256 bits of randomness nothing can be guessed, so a slow password hash
 * would only slow down connecting.
 */
const TOKEN = /^slt_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$/;
const ID_BYTES = 8;
const SECRET_BYTES = 32;

/** One token as it is stored, without its secret. Plain JSON. */
export const tokenRecordSchema = z.strictObject({
  id: z.string().regex(/^[0-9a-f]{16}$/),
  /** Name of the principal; several tokens may share it. */
  name: z.string().min(1).max(128),
  /** SHA-256 of the secret's bytes, base64url. */
  secretSha256: z.string().length(43),
  /** May do everything. */
  admin: z.boolean(),
  rights: z.array(
    z.strictObject({ topic: z.string().min(1).max(249), operations: z.array(z.enum(OPERATIONS)).min(1) }),
  ),
  /** Milliseconds since 1970. */
  createdAtMs: z.number().int().nonnegative(),
  /** The token is refused from then on; null: it never expires. */
  expiresAtMs: z.number().int().nonnegative().nullable(),
});

/** What {@link tokenRecordSchema} describes. */
export type TokenRecord = z.infer<typeof tokenRecordSchema>;

/** Keeps token records; somebody above makes them durable. Reads are from a local view, so that authentication never waits. */
export interface TokenStore {
  list(): readonly TokenRecord[];
  get(id: string): TokenRecord | undefined;
  put(record: TokenRecord): Promise<void>;
  /** @returns whether there was one */
  delete(id: string): Promise<boolean>;
}

/** What a new token is for. */
export interface TokenRequest {
  readonly name: string;
  readonly admin?: boolean;
  readonly rights?: readonly Right[];
  /** Lifetime from now in milliseconds; without it the token never expires. */
  readonly lifetimeMs?: number;
}

/**
 * Makes a token. The caller stores the record and shows the text once: it cannot be had again.
 * @throws INVALID_ARGUMENT when the name or a right is not allowed
 */
export function createToken(
  request: TokenRequest,
  clock: Clock,
  random: Random,
): { readonly token: string; readonly record: TokenRecord } {
  const id = random.bytes(ID_BYTES).toString('hex');
  const secret = random.bytes(SECRET_BYTES);
  const createdAtMs = Math.floor(clock.now());
  const record = tokenRecordSchema.safeParse({
    id,
    name: request.name,
    secretSha256: sha256(secret).toString('base64url'),
    admin: request.admin ?? false,
    rights: request.rights ?? [],
    createdAtMs,
    expiresAtMs: request.lifetimeMs === undefined ? null : createdAtMs + request.lifetimeMs,
  });
  if (!record.success)
    throw new SluiceError('INVALID_ARGUMENT', z.prettifyError(record.error), { cause: record.error });
  return { token: `slt_${id}_${secret.toString('base64url')}`, record: record.data };
}

/**
 * The principal of a token.
 * @param adminToken the token from the configuration that may do everything, if there is one
 * @throws UNAUTHENTICATED when it is malformed, unknown, wrong or expired; the error does not say which to the outside
 */
export function authenticateToken(
  store: TokenStore,
  token: string,
  clock: Clock,
  adminToken?: string | null,
): Principal {
  if (isAdminToken(token, adminToken)) return { name: 'admin', kind: 'token', admin: true, rights: [] };
  const parts = TOKEN.exec(token);
  const record = parts ? store.get(parts[1]!) : undefined;
  if (!isSecretOf(record, parts?.[2] ?? '') || !record || isExpired(record, clock)) {
    throw new SluiceError(
      'UNAUTHENTICATED',
      'the token is wrong, expired or revoked; an administrator makes a new one with: sluice token create',
    );
  }
  const { name, admin, rights, id } = record;
  return { name, kind: 'token', admin, rights, tokenId: id };
}

/** Whether the token of a principal, if it showed one, has neither been revoked nor expired since. */
export function isTokenStillValid(store: TokenStore, { tokenId }: Principal, clock: Clock): boolean {
  if (tokenId === undefined) return true;
  const record = store.get(tokenId);
  return record !== undefined && !isExpired(record, clock);
}

/** A missing record is compared too, so that time does not tell which ids exist. */
function isSecretOf(record: TokenRecord | undefined, secret: string): boolean {
  const given = sha256(Buffer.from(secret, 'base64url'));
  const expected = Buffer.from(record?.secretSha256 ?? '', 'base64url');
  return timingSafeEqual(
    given,
    expected.byteLength === given.byteLength ? expected : Buffer.alloc(given.byteLength),
  );
}

function isExpired(record: TokenRecord, clock: Clock): boolean {
  return record.expiresAtMs !== null && clock.now() >= record.expiresAtMs;
}

/** Keeps tokens in this process only: for tests, and for a node without a data directory. */
export function createMemoryTokenStore(): TokenStore {
  const records = new Map<string, TokenRecord>();
  return {
    list: () => [...records.values()],
    get: (id) => records.get(id),
    put: (record) => {
      records.set(record.id, record);
      return Promise.resolve();
    },
    delete: (id) => Promise.resolve(records.delete(id)),
  };
}

/** Hashes first: then both have one length, and time tells nothing about the common prefix. */
function isAdminToken(token: string, adminToken: string | null | undefined): boolean {
  if (adminToken === null || adminToken === undefined) return false;
  return timingSafeEqual(sha256(Buffer.from(token)), sha256(Buffer.from(adminToken)));
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/**
 * Token of a Retry packet: proof that the client receives at the address it sends from, kept by the client, not by the server.
 *
 *     8  time of expiry, milliseconds of wall-clock time, u64 big endian
 *     1  length of the original destination id
 *     n  original destination id
 *     32 HMAC-SHA-256 over the above, the client's address and port, and the connection id that the Retry gave
 */
import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { Clock } from '../../kernel/clock.ts';
import type { Random } from '../../kernel/random.ts';
import type { HostPort } from './native.ts';

const MAC_BYTES = 32;
const FIXED_BYTES = 8 + 1 + MAC_BYTES;
const LIFETIME_MS = 10_000;

/** Makes and checks the tokens of one listener. Its key lives as long as it does. See RFC 9000 section 8.1.2. */
export class RetryTokens {
  readonly #clock: Clock;
  /** Strangers decide how often it is used: a key as bytes would be prepared each time, which takes four times as long as the rest. */
  readonly #key: KeyObject;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#key = createSecretKey(random.bytes(32));
  }

  /**
   * A token for a client that has not proved its address yet.
   * @param originalId the destination id that the client chose
   * @param retryId the connection id that it shall use from now on
   */
  issue(client: HostPort, originalId: Uint8Array, retryId: Uint8Array): Buffer {
    const token = Buffer.alloc(FIXED_BYTES + originalId.length);
    token.writeBigUInt64BE(BigInt(Math.trunc(this.#clock.now() + LIFETIME_MS)), 0);
    token.writeUInt8(originalId.length, 8);
    token.set(originalId, 9);
    token.set(this.#mac(token.subarray(0, 9 + originalId.length), client, retryId), 9 + originalId.length);
    return token;
  }

  /** The original destination id when the token is ours, fresh, and for this client and connection id; else undefined. */
  verify(token: Buffer, client: HostPort, retryId: Uint8Array): Buffer | undefined {
    if (token.length < FIXED_BYTES || token.length !== FIXED_BYTES + token[8]!) return undefined;
    const content = token.subarray(0, token.length - MAC_BYTES);
    if (!timingSafeEqual(token.subarray(token.length - MAC_BYTES), this.#mac(content, client, retryId)))
      return undefined;
    if (Number(token.readBigUInt64BE(0)) < this.#clock.now()) return undefined;
    return content.subarray(9);
  }

  #mac(content: Uint8Array, client: HostPort, retryId: Uint8Array): Buffer {
    const hmac = createHmac('sha256', this.#key).update(content).update(retryId);
    return hmac.update(`${client.host} ${client.port}`).digest();
  }
}

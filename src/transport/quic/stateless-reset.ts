/**
 * Stateless reset (RFC 9000 section 10.3): how a server that lost its connections, because it was killed and started again,
 * tells a client that it does not know the connection. Without it the client learns that from its idle timeout.
 *
 *     13 unpredictable bytes; the first two bits are 01, as in every packet with a short header
 *     16 token of the connection id that the client sent to
 *
 * The token is the first half of HMAC-SHA-256(key, connection id): a server that kept its key can tell it for every id that
 * it ever issued. A client believes only the token that it got over TLS when it connected.
 */
import { createHmac, createSecretKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { Random } from '../../kernel/random.ts';
import { CID_BYTES } from './native.ts';
import { isLongHeader } from './packet-header.ts';

const TOKEN_BYTES = 16;
/** A byte less than the shortest packet of a client: flags, id, packet number, 4 bytes of payload, authentication. */
const RESET_BYTES = 1 + CID_BYTES + 1 + 4 + 16 - 1;
const FIXED_BIT = 0x40;
const FIRST_BYTE_RANDOM_BITS = 0x3f;

/** Length in bytes of a key for reset tokens. */
export const RESET_KEY_BYTES = 32;

/** Tokens for the connection ids of one listener, the same for the same key. */
export class ResetTokens {
  /** Not as bytes, which would be prepared for each token. */
  readonly #key: KeyObject;

  /** @param key secret, {@link RESET_KEY_BYTES} */
  constructor(key: Uint8Array) {
    this.#key = createSecretKey(key);
  }

  /** Token of a connection id, 16 bytes. */
  of(cid: Uint8Array): Buffer {
    return createHmac('sha256', this.#key).update(cid).digest().subarray(0, TOKEN_BYTES);
  }

  /** The same token as the number that quiche takes, big endian. */
  numberOf(cid: Uint8Array): bigint {
    return BigInt(`0x${this.of(cid).toString('hex')}`);
  }
}

/**
 * Whether a packet with a short header that belongs to no connection is to be answered with {@link resetFor}.
 *
 * Only if it is longer than the answer: so two ends that answer each other come to an end, and nobody gains by a false
 * address. Every packet of a client is, even a lone PING.
 */
export function deservesReset(packet: Buffer): boolean {
  return packet.length > RESET_BYTES && !isLongHeader(packet) && (packet[0]! & FIXED_BIT) !== 0;
}

/** The stateless reset that answers a packet which {@link deservesReset}. */
export function resetFor(packet: Buffer, tokens: ResetTokens, random: Random): Buffer {
  const reset = random.bytes(RESET_BYTES);
  reset[0] = (reset[0]! & FIRST_BYTE_RANDOM_BITS) | FIXED_BIT;
  tokens.of(packet.subarray(1, 1 + CID_BYTES)).copy(reset, RESET_BYTES - TOKEN_BYTES);
  return reset;
}

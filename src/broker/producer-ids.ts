import { hash } from 'node:crypto';
import { SluiceError } from '../kernel/errors.ts';
import { BATCH_FIELD } from '../wire/record-batch.ts';
import type { Principal } from './ports.ts';

/** Numbers that there are; the rest of a safe integer is the tag. */
const NUMBERS = 2 ** 33;
const TAG_BITS = 20;
/** A number is hashed as so many, so that it ends where the name begins. */
const NUMBER_BYTES = 6;
/** From here on an id is no safe integer. */
const HIGH_END = 2 ** 21;
/** A power of two. */
const REMEMBERED = 8192;

/**
 * Whose producer ids are: an id is good for the principal that took it and for nobody else, so that nobody can end, confuse or
 * forestall somebody else's idempotent producer.
 *
 *      52        33 32                  0
 *     │ tag        │ number              │     tag = the first 20 bits of SHA-256(key of the cluster ‖ number ‖ principal's name)
 *
 * The coordinator gives a number once. Whoever has the key can tell the owner of an id without having seen it before: over restarts, and on every
 * node. Nothing that was never given out gets through but by a guess, and what is guessed is an id of the guesser's own: to hit one of somebody
 * else's both would need the same tag, which is so for one id in a million and not for the asker to choose.
 *
 * A principal is its name, as for rules: its connections share its ids. All anonymous clients are one principal.
 *
 * @see docs/adr/0008-producer-ids.md
 */
export class ProducerIds {
  readonly #key: Buffer;
  /** Ids that were found good, each in the place that its number says, and whose they are. */
  readonly #ids = new Float64Array(REMEMBERED);
  readonly #names = new Array<string>(REMEMBERED).fill('');

  /** @param key secret of the cluster, 32 bytes; with another one all ids are worth nothing */
  constructor(key: Buffer) {
    this.#key = key;
  }

  /**
   * The id for a principal.
   * @param number one that was never used before, from 1
   * @throws INTERNAL when there are no more
   */
  bind(number: number, { name }: Principal): number {
    if (number >= NUMBERS) throw new SluiceError('INTERNAL', 'this cluster has given out all producer ids');
    return this.#tag(number, name) * NUMBERS + number;
  }

  /**
   * @param batch as a client sent it; not verified
   * @throws UNKNOWN_PRODUCER when its producer id was not given to this principal
   */
  check(batch: Buffer, { name }: Principal): void {
    // Whoever verifies the batch says what is wrong with one that has no header, or no such number.
    if (batch.length < BATCH_FIELD.PRODUCER_EPOCH) return;
    const high = batch.readInt32BE(BATCH_FIELD.PRODUCER_ID);
    if (high < 0 || high >= HIGH_END) return;
    const low = batch.readUInt32BE(BATCH_FIELD.PRODUCER_ID + 4);
    const id = high * 2 ** 32 + low;
    const place = low & (REMEMBERED - 1);
    if (this.#ids[place] === id && this.#names[place] === name) return;
    this.#verify(id, name);
    this.#ids[place] = id;
    this.#names[place] = name;
  }

  #verify(id: number, name: string): void {
    if (Math.floor(id / NUMBERS) === this.#tag(id % NUMBERS, name)) return;
    throw new SluiceError(
      'UNKNOWN_PRODUCER',
      `producer id ${id} was not given to ${name}: take one with InitProducer`,
    );
  }

  #tag(number: number, name: string): number {
    const { length } = this.#key;
    const text = Buffer.alloc(length + NUMBER_BYTES + Buffer.byteLength(name));
    this.#key.copy(text);
    text.writeUIntBE(number, length, NUMBER_BYTES);
    text.write(name, length + NUMBER_BYTES);
    // No HMAC, which takes ten times as long here: there is nothing to be extended in a hash of which hardly any is shown.
    return hash('sha256', text, 'buffer').readUInt32BE(0) >>> (32 - TAG_BITS);
  }
}

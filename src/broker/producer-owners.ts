import { SluiceError } from '../kernel/errors.ts';
import { BATCH_FIELD } from '../wire/record-batch.ts';
import type { Principal } from './ports.ts';

/** Runs remembered; the oldest go first. One principal that takes many ids in a row makes one run. */
const MAX_RUNS = 1_000_000;

/**
 * Whose producer ids are: an id that was given to one principal is refused from any other, so that nobody can end or confuse
 * somebody else's idempotent producer.
 *
 *     ids rise:   │ 1 … 40  │ 41  │ 42 … 57 │ 58 …        last
 *                 │  alice  │ bob │  alice  │ anonymous     │
 *
 * A principal is its name, as for rules: its connections share its ids, and it keeps them over reconnects. Nothing of this
 * survives the process: an id from before its start is whoever's uses it, within what may be published at all. All anonymous
 * clients are one principal.
 */
export class ProducerOwners {
  /** First id of each run, rising, and its owner. */
  readonly #firstIds: number[] = [];
  readonly #names: string[] = [];
  #lastId = 0;

  /** `id`, above all before, was given to `principal`. */
  give(id: number, { name }: Principal): void {
    this.#lastId = Math.max(this.#lastId, id);
    if (this.#names.at(-1) === name) return;
    this.#firstIds.push(id);
    this.#names.push(name);
    if (this.#names.length <= MAX_RUNS) return;
    this.#firstIds.splice(0, MAX_RUNS / 2);
    this.#names.splice(0, MAX_RUNS / 2);
  }

  /**
   * @param batch as a client sent it; not verified
   * @throws FORBIDDEN when its producer id was given to another principal
   */
  check(batch: Buffer, { name }: Principal): void {
    const id = producerIdOf(batch);
    const owner = id === undefined ? undefined : this.#ownerOf(id);
    if (owner === undefined || owner === name) return;
    throw new SluiceError(
      'FORBIDDEN',
      `producer id ${id} was given to another principal: take one with InitProducer`,
    );
  }

  #ownerOf(id: number): string | undefined {
    if (id > this.#lastId) return undefined;
    let [low, high] = [0, this.#firstIds.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#firstIds[middle]! <= id) low = middle + 1;
      else high = middle;
    }
    return this.#names[low - 1];
  }
}

/** Undefined for none, and where there is no header: whoever verifies the batch says so. */
function producerIdOf(batch: Buffer): number | undefined {
  if (batch.length < BATCH_FIELD.PRODUCER_EPOCH) return undefined;
  const high = batch.readInt32BE(BATCH_FIELD.PRODUCER_ID);
  return high < 0 ? undefined : high * 2 ** 32 + batch.readUInt32BE(BATCH_FIELD.PRODUCER_ID + 4);
}

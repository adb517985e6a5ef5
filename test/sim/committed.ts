import { batchBaseOffset } from '../../src/wire/record-batch.ts';
import { RecordBatch } from '../../src/wire/record-batch-decoder.ts';
import { Violation } from './violation.ts';
import type { PlacedBatch } from './watched-log.ts';

/** What a simulated producer writes into a record: `<producer>:<number>`. */
export function recordText(producer: string, number: number): string {
  return `${producer}:${number}`;
}

/**
 * What a producer promises of its records: `exact` each number once and in order, none left out; `once` in order and none twice; `none`.
 */
export type ProducerPromise = 'exact' | 'once' | 'none';

/**
 * What one partition has committed: every batch that was ever below a high watermark. It only grows.
 *
 * Each is checked once when it comes: the numbers of a producer are in order and come once, as it promises.
 */
export class Committed {
  readonly name: string;
  readonly #batches: PlacedBatch[] = [];
  readonly #last = new Map<string, number>();
  readonly #promises: ReadonlyMap<string, ProducerPromise>;
  #end = 0;

  /** @param promises of producers, by name */
  constructor(name: string, promises: ReadonlyMap<string, ProducerPromise>) {
    this.name = name;
    this.#promises = promises;
  }

  /** The largest high watermark there was. */
  get end(): number {
    return this.#end;
  }

  get length(): number {
    return this.#batches.length;
  }

  at(index: number): PlacedBatch | undefined {
    return this.#batches[index];
  }

  /** Index of the first batch that ends above `offset`. */
  indexOf(offset: number): number {
    let low = 0;
    let high = this.#batches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#batches[middle]!.nextOffset > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** The batch that begins there. */
  beginningAt(offset: number): PlacedBatch | undefined {
    const found = this.#batches[this.indexOf(offset)];
    return found?.baseOffset === offset ? found : undefined;
  }

  /** A batch behind all others. @throws Violation */
  add(batch: PlacedBatch, who: string): void {
    if (batch.baseOffset < this.#end) {
      throw new Violation(
        'committed offsets never change',
        `${this.name}: ${who} has another batch at ${batch.baseOffset}, committed is up to ${this.#end}`,
      );
    }
    this.#batches.push(batch);
    this.#end = batch.nextOffset;
    this.#checkRecords(batch, who);
  }

  /** The batch that begins at an offset that was acknowledged begins with this record. @throws Violation */
  checkAt(offset: number, text: string): void {
    const batch = this.beginningAt(offset);
    const [first] = batch ? new RecordBatch(batch.bytes).records() : [];
    if (first && String(first.value) === text) return;
    throw new Violation(
      'an acknowledged record never changes offset',
      `${this.name}: ${text} was acknowledged at ${offset}, there is ${batch ? describeBatch(batch.bytes) : 'nothing'}`,
    );
  }

  /** The watermark passed a hole. */
  passTo(offset: number): void {
    this.#end = Math.max(this.#end, offset);
  }

  #checkRecords({ bytes }: PlacedBatch, who: string): void {
    for (const { value, offset } of new RecordBatch(bytes).records()) {
      const [producer, text] = String(value).split(':') as [string, string];
      const number = Number(text);
      const before = this.#last.get(producer) ?? -1;
      const promise = this.#promises.get(producer) ?? 'none';
      this.#last.set(producer, Math.max(before, number));
      if (promise === 'none' || number === before + 1) continue;
      if (promise === 'once' && number > before) continue;
      throw new Violation(
        number <= before ? 'no duplicates of an idempotent producer' : 'order of a producer',
        `${this.name}@${offset}: ${who} has ${producer}:${number} behind ${producer}:${before}`,
      );
    }
  }
}

/** Whether two batches are the same to the byte. */
export function isSameBatch(a: PlacedBatch, b: PlacedBatch): boolean {
  return a.bytes === b.bytes || a.bytes.equals(b.bytes);
}

/** Where a batch begins and what is in it, for people. */
export function describeBatch(bytes: Buffer): string {
  const records = [...new RecordBatch(bytes).records()].map(({ value }) => String(value));
  return `${batchBaseOffset(bytes)} [${records.join(' ')}]`;
}

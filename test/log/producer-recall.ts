import { expect } from 'vitest';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { LogState } from '../../src/log/log-state.ts';
import type { BatchHeader } from '../../src/wire/record-batch.ts';
import { checkSame } from '../support/cheap-checks.ts';

interface Seen {
  readonly sequence: number;
  readonly offset: number;
}

/** What a producer's last batch was, and where: the least that has to come back with a log. Strict about what it is given. */
export class ProducerRecall implements LogState {
  producers = new Map<number, Seen>();
  /** End of the last batch taken in. */
  nextOffset = 0;

  reset(): void {
    this.producers.clear();
    this.nextOffset = 0;
  }

  restore(snapshot: Buffer): void {
    if (snapshot.length === 0) throw new SluiceError('STORAGE_FAILED', 'not a snapshot');
    const [nextOffset, producers] = JSON.parse(snapshot.toString()) as [number, [number, Seen][]];
    this.nextOffset = nextOffset;
    this.producers = new Map(producers);
  }

  replay(header: BatchHeader): void {
    const { baseOffset, lastOffsetDelta, producerId, baseSequence } = header;
    // Not expect: there are thousands of them.
    if (baseOffset < this.nextOffset) expect.fail(`replay of ${baseOffset} after ${this.nextOffset}`);
    this.nextOffset = baseOffset + lastOffsetDelta + 1;
    if (producerId >= 0) this.producers.set(producerId, { sequence: baseSequence, offset: baseOffset });
  }

  snapshot(): Buffer {
    return Buffer.from(JSON.stringify([this.nextOffset, [...this.producers]]));
  }

  truncate(offset: number, batchesBelow: Iterable<BatchHeader>): void {
    const gone = new Set<number>();
    for (const [id, seen] of this.producers) if (seen.offset >= offset) gone.add(id);
    for (const id of gone) this.producers.delete(id);
    this.nextOffset = Math.min(this.nextOffset, offset);
    for (const { producerId, baseSequence, baseOffset } of batchesBelow) {
      if (gone.delete(producerId))
        this.producers.set(producerId, { sequence: baseSequence, offset: baseOffset });
    }
  }

  /**
   * Compares with what a replay of all batches gives.
   * @param start what was below it may be forgotten
   */
  expectLike(headers: readonly BatchHeader[], start: number): void {
    const all = new ProducerRecall();
    for (const header of headers) all.replay(header);
    for (const [id, seen] of all.producers) {
      const got = this.producers.get(id);
      if (seen.offset < start && got === undefined) continue;
      checkSame(got?.sequence, seen.sequence, `sequence of producer ${id}`);
      checkSame(got?.offset, seen.offset, `offset of producer ${id}`);
    }
    for (const id of this.producers.keys()) checkSame(all.producers.has(id), true, `producer ${id}`);
  }
}

import { describe, expect, it } from 'vitest';
import { gatherBatches } from '../../../src/log/disk/gather-batches.ts';
import type { Gathered } from '../../../src/log/disk/gather-batches.ts';
import { BATCH_FIELD, batchBaseOffset } from '../../../src/wire/record-batch.ts';
import { stampedBatch } from '../../support/batch.ts';

const [A, B, C] = [stampedBatch(10, 2), stampedBatch(12, 1), stampedBatch(20, 3)];
const WHOLE = Buffer.concat([A, B, C]);
const ALL = { offset: 0, upTo: Infinity, maxBytes: Infinity };

/** Batches at 10, 12 and 20, of which `bytes` are there. */
function gather(wanted: Partial<typeof ALL>, bytes: Buffer = WHOLE): Gathered {
  const chunk = { bytes, position: 1000, leastOffset: 10, endOffset: 23, endPosition: 1000 + WHOLE.length };
  return gatherBatches(chunk, { ...ALL, ...wanted });
}

const basesOf = ({ found }: Gathered): number[] => found.map(batchBaseOffset);

function changed(at: number, change: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.from(WHOLE);
  change(bytes.subarray(at));
  return bytes;
}

describe('batches gathered from a chunk of a segment', () => {
  it.each<[string, Partial<typeof ALL>, number[], Gathered['kind']]>([
    ['all', {}, [10, 12, 20], 'done'],
    ['from the one that holds the offset', { offset: 11 }, [10, 12, 20], 'done'],
    ['from the next one after a hole', { offset: 15 }, [20], 'done'],
    ['none behind the last', { offset: 23 }, [], 'done'],
    ['none that begin at the end', { upTo: 12 }, [10], 'done'],
    ['as many as the bytes allow', { maxBytes: A.length + B.length }, [10, 12], 'done'],
    ['one that is larger than the bytes allow', { maxBytes: 1 }, [10], 'done'],
  ])('are %s', (_what, wanted, bases, kind) => {
    const gathered = gather(wanted);
    expect([basesOf(gathered), gathered.kind]).toEqual([bases, kind]);
  });

  it('are views, and what comes behind them is known', () => {
    const { found, position, leastOffset } = gather({ maxBytes: A.length });
    expect(found[0]!.equals(A)).toBe(true);
    expect([position, leastOffset]).toEqual([1000 + A.length, 12]);
  });

  it('are those that are whole, whatever part of the rest is there', () => {
    for (let length = 1; length < WHOLE.length; length++) {
      const gathered = gather({}, WHOLE.subarray(0, length));
      const whole = [A.length, A.length + B.length].filter((end) => end <= length).length;
      expect([length, gathered.found.length, gathered.kind]).toEqual([length, whole, 'more']);
    }
  });

  it('say how many bytes the next one takes', () => {
    expect(gather({}, WHOLE.subarray(0, 10)).nextBytes).toBe(61);
    expect(gather({}, WHOLE.subarray(0, 61)).nextBytes).toBe(A.length);
  });

  it('are those before a damaged one, and then none', () => {
    const bytes = changed(A.length + B.length - 1, (batch) => (batch[0]! ^= 1));
    const before = gather({}, bytes);
    expect([basesOf(before), before.kind]).toEqual([[10], 'damaged']);
    const there = gather({ offset: 12 }, bytes);
    expect([there.found, there.kind, there.position]).toEqual([[], 'damaged', 1000 + A.length]);
  });

  it.each([
    ['lower than what comes before', 9],
    ['higher than the segment goes', 23],
    ['no number', -1],
    ['beyond all numbers', 2 ** 60],
  ])('do not have an offset that is %s', (_what, offset) => {
    const bytes = changed(A.length, (batch) => batch.writeBigInt64BE(BigInt(offset)));
    const gathered = gather({}, bytes);
    expect([basesOf(gathered), gathered.kind]).toEqual([[10], 'damaged']);
  });

  it.each([-1, 0, 48, 0x7fff_ffff])('do not have a length of %i', (length) => {
    const bytes = changed(A.length, (batch) => batch.writeInt32BE(length, BATCH_FIELD.LENGTH));
    expect(gather({}, bytes).kind).toBe('damaged');
  });

  it('are not what is left of a segment that ends inside a header', () => {
    const chunk = { bytes: A.subarray(0, 30), position: 0, leastOffset: 10, endOffset: 12, endPosition: 30 };
    expect(gatherBatches(chunk, ALL)).toMatchObject({ found: [], kind: 'damaged' });
  });
});

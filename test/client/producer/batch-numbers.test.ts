import { beforeEach, describe, expect, it } from 'vitest';
import { BatchNumbers } from '../../../src/client/producer/batch-numbers.ts';
import { OpenBatch } from '../../../src/client/producer/open-batch.ts';
import type { OutgoingBatch } from '../../../src/client/producer/outgoing-batch.ts';
import { readBatchHeader } from '../../../src/wire/record-batch.ts';

const FIRST = { producerId: 7, producerEpoch: 0 };
const SECOND = { producerId: 8, producerEpoch: 0 };

let numbers: BatchNumbers;
let open: OpenBatch;
beforeEach(() => {
  numbers = new BatchNumbers();
  open = new OpenBatch();
});

/** A batch of so many records, numbered as far as that is possible yet. */
function sealed(records: number): OutgoingBatch {
  for (let nth = 0; nth < records; nth++) open.append(null, Buffer.from('v'), [], 0, undefined);
  return open.seal('none', numbers.next(open.count));
}

/** Producer and sequence as they stand in the bytes. */
function stamps(batches: readonly OutgoingBatch[]): string[] {
  return batches.map(({ bytes }) => {
    const { producerId, baseSequence } = readBatchHeader(bytes);
    return `${producerId}:${baseSequence}`;
  });
}

describe('numbers of batches', () => {
  it('count records, also of what waited before there was an identity', () => {
    const early = [sealed(2), sealed(3)];
    expect(stamps(early)).toEqual(['-1:-1', '-1:-1']);
    numbers.begin(FIRST, early);
    expect(stamps([...early, sealed(2), sealed(1)])).toEqual(['7:0', '7:2', '7:5', '7:7']);
  });

  it('close up where one that is certainly not stored was given up', () => {
    numbers.begin(FIRST, []);
    const [stored, gone, ...behind] = [sealed(1), sealed(2), sealed(1), sealed(1)];
    expect(numbers.leaveHole(gone, behind)).toBe(true);
    expect(numbers.settle(behind)).toBeUndefined();
    expect(stamps([stored, ...behind, sealed(1)])).toEqual(['7:0', '7:1', '7:2', '7:3']);
  });

  it('need another identity where one that may be stored was given up; until then nothing new is numbered', () => {
    numbers.begin(FIRST, []);
    const [gone, behind] = [sealed(2), sealed(1)];
    gone.lose();
    numbers.leaveHole(gone, [behind]);
    const late = sealed(1);
    expect(late.identity).toBeUndefined();
    expect(numbers.settle([behind, late])).toBe(FIRST);
    expect(numbers.known).toBe(false);
    numbers.begin(SECOND, [behind, late]);
    expect(stamps([behind, late])).toEqual(['8:0', '8:1']);
  });

  it('stay with a batch that may have been stored', () => {
    numbers.begin(FIRST, []);
    const [unclear, certain] = [sealed(1), sealed(1)];
    unclear.lose();
    numbers.wantOther();
    numbers.settle([unclear, certain]);
    numbers.begin(SECOND, [unclear, certain]);
    expect(stamps([unclear, certain])).toEqual(['7:0', '8:0']);
  });

  it('leave no hole where a batch had no number of this identity', () => {
    const gone = sealed(1);
    numbers.begin(FIRST, []);
    expect(numbers.leaveHole(gone, [])).toBe(false);
  });
});

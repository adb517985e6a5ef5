import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OffsetRanges } from '../../../src/client/subscription/offset-ranges.ts';
import { PartitionProgress } from '../../../src/client/subscription/partition-progress.ts';

const spans = fc.array(fc.tuple(fc.nat(40), fc.nat(8)), { maxLength: 20 });

describe('offset ranges', () => {
  it('hold exactly the offsets that were added', () => {
    fc.assert(
      fc.property(spans, (added) => {
        const ranges = new OffsetRanges();
        const model = new Set<number>();
        for (const [from, length] of added) {
          ranges.add(from, from + length);
          for (let offset = from; offset < from + length; offset++) model.add(offset);
        }
        for (let offset = 0; offset < 60; offset++) expect(ranges.has(offset)).toBe(model.has(offset));
      }),
    );
  });

  it('are as few as can be', () => {
    fc.assert(
      fc.property(spans, (added) => {
        const ranges = new OffsetRanges();
        for (const [from, length] of added) ranges.add(from, from + length);
        let runs = 0;
        for (let offset = 0; offset < 60; offset++) {
          if (ranges.has(offset) && (offset === 0 || !ranges.has(offset - 1))) runs += 1;
        }
        expect(ranges.count).toBe(runs);
      }),
    );
  });
});

describe('partition progress', () => {
  it('has received everything below its position, and knows what came beyond', () => {
    fc.assert(
      fc.property(spans, (arrived) => {
        const progress = new PartitionProgress('t', 0, 5, 'c');
        const model = new Set([0, 1, 2, 3, 4]);
        for (const [from, length] of arrived) {
          progress.receive(from, from + length);
          for (let offset = from; offset < from + length; offset++) model.add(offset);
        }
        let position = 5;
        while (model.has(position)) position += 1;
        expect(progress.received).toBe(position);
        for (let offset = 5; offset < 60; offset++) {
          expect(progress.hasReceived(offset, offset + 1)).toBe(model.has(offset));
        }
      }),
    );
  });
});

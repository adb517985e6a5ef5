import { describe, expect, it } from 'vitest';
import { PublishTally } from '../../../src/cli/records/publish-tally.ts';

describe('PublishTally', () => {
  it('counts per partition and encloses the offsets, in whatever order answers come', () => {
    const tally = new PublishTally();
    for (const [partition, offset] of [
      [1, 7],
      [0, 3],
      [1, 5],
    ] as const)
      tally.add(partition, offset);
    expect(tally.records).toBe(3);
    expect(tally.partitions()).toEqual([
      { partition: 0, records: 1, firstOffset: 3, lastOffset: 3 },
      { partition: 1, records: 2, firstOffset: 5, lastOffset: 7 },
    ]);
  });

  it('knows no offsets where the answers carry none', () => {
    const tally = new PublishTally();
    tally.add(0, -1);
    tally.add(0, undefined);
    expect(tally.partitions()).toEqual([
      { partition: 0, records: 2, firstOffset: undefined, lastOffset: undefined },
    ]);
  });
});

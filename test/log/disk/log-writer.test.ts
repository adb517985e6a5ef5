import { describe, expect, it } from 'vitest';
import { BATCH_FIELD } from '../../../src/wire/record-batch.ts';
import { stampedBatch } from '../../support/batch.ts';
import { turns } from '../../support/turns.ts';
import { LogStage, pathOf, segmentOf } from './log-stage.ts';

const MiB = 1024 * 1024;
const OFFSETS = 1_500_000_000;

/** A small batch that claims to have many records, as a compressed one may. */
function claiming(baseOffset: number): Buffer {
  const batch = stampedBatch(baseOffset, 1);
  batch.writeInt32BE(OFFSETS - 1, BATCH_FIELD.LAST_OFFSET_DELTA);
  return batch;
}

describe('a segment', () => {
  it('begins anew before its offsets are more than its index can say', async () => {
    const stage = await LogStage.open({ segmentBytes: 64 * MiB });
    for (let n = 0; n < 6; n++) stage.log.append(claiming(stage.log.logEnd));
    await turns(50);
    expect(stage.log.durableEnd).toBe(6 * OFFSETS);
    expect(stage.names('log').length).toBeGreaterThan(2);
    expect(stage.events).toEqual([]);
  });

  it('begins anew before a write that does not fit it, and takes one that is larger alone', async () => {
    const stage = await LogStage.open({ segmentBytes: 4096 });
    const sizes: number[] = [];
    for (const valueBytes of [3000, 3000, 9000, 100]) {
      const batch = stampedBatch(stage.log.logEnd, [{ value: 'x'.repeat(valueBytes) }]);
      sizes.push(batch.length);
      stage.log.append(batch);
    }
    await turns(50);
    await stage.log.close();
    expect(stage.names('log').map((name) => stage.disk.peek(pathOf(name))!.length)).toEqual(sizes);
  });
});

describe('a write', () => {
  it('takes everything that was appended meanwhile, up to 4 MiB', async () => {
    const stage = await LogStage.open({ segmentBytes: 64 * MiB });
    const release = stage.disk.hold(['write']);
    for (let n = 0; n < 10; n++) {
      stage.log.append(stampedBatch(stage.log.logEnd, [{ value: 'x'.repeat(90_000) }]));
      if (n === 0) await turns(3);
    }
    release();
    await turns(50);
    const writes = stage.disk.calls.filter(
      ({ kind, path }) => kind === 'write' && path === pathOf(segmentOf(0)),
    );
    expect(writes).toHaveLength(2);
    expect(stage.log.durableEnd).toBe(10);
  });

  it('tells those who wait for it in the order of their offsets', async () => {
    const stage = await LogStage.open();
    const told: number[] = [];
    stage.appendSome(5);
    for (const offset of [3, 1, 5, 2, 4]) stage.log.whenDurable(offset, () => told.push(offset));
    await turns(20);
    expect(told).toEqual([1, 2, 3, 4, 5]);
  });
});

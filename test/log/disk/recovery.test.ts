/** What a disk log makes of files that are not as it left them. */
import { describe, expect, it } from 'vitest';
import { batchBaseOffset } from '../../../src/wire/record-batch.ts';
import { stampedBatch } from '../../support/batch.ts';
import { FakeDisk } from '../../support/fake-disk.ts';
import { turns } from '../../support/turns.ts';
import { LogStage, pathOf, segmentOf } from './log-stage.ts';

const MiB = 1024 * 1024;
const BATCH_BYTES = stampedBatch(0, [{ value: 'x'.repeat(1000) }]).length;
const coded = (code: string): Error => expect.objectContaining({ code }) as Error;

/** Three batches a segment: 0 to 2, 3 to 5, …; stopped in an orderly way, and its files changed. */
async function changed(change: (stage: LogStage) => void, settings = {}): Promise<LogStage> {
  const stage = await LogStage.open(settings);
  await stage.fill(20);
  await stage.log.close();
  change(stage);
  await stage.reopen();
  return stage;
}

const withoutSnapshots = (stage: LogStage): void => stage.remove(...stage.names('snapshot'));

async function offsetsRead({ log }: LogStage, from: number): Promise<number[]> {
  const found: number[] = [];
  for (let offset = from; offset < log.durableEnd;) {
    const batches = await log.read(offset, log.durableEnd, 1);
    if (batches.length === 0) break;
    found.push(batchBaseOffset(batches[0]!));
    offset = found.at(-1)! + 1;
  }
  return found;
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, n) => from + n);

describe('a log that is opened', () => {
  it('has what lies behind damage of a segment that only its snapshot knew, at once', async () => {
    const stage = await changed((files) => {
      files.damage(segmentOf(3), BATCH_BYTES + 100);
      // What the snapshot says of it does not count when it may have been compacted, and without index it has to be read.
      files.disk.plant(pathOf('compaction'), Buffer.from('not what it should be'));
      files.remove(segmentOf(3).replace('.log', '.index'));
    });
    expect(stage.events[0]).toBe(`corrupt ${segmentOf(3)} at ${BATCH_BYTES}`);
    await expect(stage.log.read(4, 20, 1)).rejects.toThrow(coded('CORRUPT_LOG'));
    expect(await offsetsRead(stage, 5)).toEqual(range(5, 20));
    expect(stage.names('corrupt')).toEqual([`${segmentOf(3)}.corrupt`]);
  });

  it('gives no offset twice when its newest segment is gone', async () => {
    const stage = await changed((files) => files.remove(segmentOf(18)));
    expect(stage.log.logEnd).toBe(20);
    expect(stage.events.filter((event) => event.startsWith('corrupt'))).toHaveLength(1);
    await expect(stage.log.read(18, 20, 1)).rejects.toThrow(coded('CORRUPT_LOG'));
    await stage.fill(1);
    expect(await offsetsRead(stage, 20)).toEqual([20]);
  });

  it('gives no offset twice when its newest segment has become shorter', async () => {
    const stage = await changed((files) => {
      const bytes = files.disk.peek(pathOf(segmentOf(18)))!;
      files.disk.plant(pathOf(segmentOf(18)), bytes.subarray(0, BATCH_BYTES + 30));
    });
    expect(stage.log.logEnd).toBe(20);
    expect(await offsetsRead(stage, 0).catch(() => 'ends')).toBe('ends');
    await expect(stage.log.read(19, 20, 1)).rejects.toThrow(coded('CORRUPT_LOG'));
    await stage.fill(1);
    await stage.reopen();
    expect(await offsetsRead(stage, 20)).toEqual([20]);
  });

  it('says so when all its segments are gone, and goes on behind them', async () => {
    const stage = await changed((files) => files.remove(...files.names('log'), ...files.names('index')));
    expect([stage.log.logStart, stage.log.logEnd]).toEqual([20, 20]);
    expect(stage.events.filter((event) => event.startsWith('corrupt'))).toHaveLength(1);
  });

  it('says which segment is missing in between', async () => {
    const stage = await changed((files) => files.remove(segmentOf(6)));
    expect(stage.events).toEqual([`corrupt ${segmentOf(3)} at ${3 * BATCH_BYTES}`]);
    await expect(stage.log.read(6, 20, 1)).rejects.toThrow(coded('CORRUPT_LOG'));
    expect(await offsetsRead(stage, 9)).toEqual(range(9, 20));
  });

  it('does not take an empty file that was left behind for its end', async () => {
    const stage = await changed((files) => {
      withoutSnapshots(files);
      files.disk.plant(pathOf(segmentOf(19)), Buffer.alloc(0));
    });
    expect(stage.log.logEnd).toBe(20);
    await stage.fill(2);
    expect(await offsetsRead(stage, 0)).toEqual(range(0, 22));
  });

  it('cuts off an unfinished write, and says how much', async () => {
    const stage = await changed((files) => {
      withoutSnapshots(files);
      const bytes = files.disk.peek(pathOf(segmentOf(18)))!;
      files.disk.plant(pathOf(segmentOf(18)), bytes.subarray(0, -1));
    });
    expect(stage.log.logEnd).toBe(19);
    expect(stage.events).toEqual([`recovered, cut ${BATCH_BYTES - 1}`]);
    expect(stage.names('corrupt')).toEqual([]);
  });

  it('cuts off a write of which the beginning is missing, and keeps what came behind aside', async () => {
    const stage = await changed((files) => {
      withoutSnapshots(files);
      files.damage(segmentOf(18), 100);
    });
    expect(stage.log.logEnd).toBe(18);
    expect(stage.events).toContain(`corrupt ${segmentOf(18)} at 0`);
    expect(stage.names('corrupt')).toEqual([`${segmentOf(18)}.corrupt`]);
  });

  it('keeps what lies behind damage that is farther from its end than a write is long', async () => {
    const stage = await LogStage.open({ segmentBytes: 64 * MiB });
    const large = (): Buffer => stampedBatch(stage.log.logEnd, [{ value: 'y'.repeat(900_000) }]);
    for (let n = 0; n < 8; n++) {
      stage.log.append(large());
      await turns(20);
    }
    withoutSnapshots(stage);
    stage.damage(segmentOf(0), 1_000_000);
    await stage.reopen();
    expect(stage.log.logEnd).toBe(8);
    expect(await offsetsRead(stage, 2)).toEqual(range(2, 8));
    await expect(stage.log.read(1, 8, 1)).rejects.toThrow(coded('CORRUPT_LOG'));
  });

  it('writes nothing of what it had synced once more', async () => {
    const stage = await changed(withoutSnapshots);
    const written = stage.disk.calls.filter(({ kind, path }) => kind === 'write' && path.endsWith('.log'));
    expect(written.map(({ path }) => path)).toEqual([pathOf(segmentOf(18))]);
  });

  it('knows when old records were appended, also without a snapshot', async () => {
    const stage = await LogStage.open();
    await stage.fill(20);
    await stage.log.close();
    withoutSnapshots(stage);
    stage.clock.advance(60_000);
    await stage.reopen();
    expect(stage.log.ageMsAt(0)).toBeGreaterThanOrEqual(60_000);
  });

  it('needs not be able to look into the directory that its data directory is in', async () => {
    const disk = new FakeDisk();
    disk.fail({ code: 'EACCES', kinds: ['syncDirectory'], path: /^\/$/ });
    const stage = await LogStage.open({}, { disk });
    await stage.fill(1);
    expect(stage.log.logEnd).toBe(1);
  });
});

describe('snapshots', () => {
  it('are kept at the beginning of the last segments, and the newest', async () => {
    const stage = await LogStage.open({ segmentBytes: 16 * 1024 });
    for (let n = 0; n < 60; n++) {
      await stage.fill(1);
      stage.clock.advance(2000);
      stage.log.enforceRetention();
      await turns(20);
    }
    const bases = stage
      .names('log')
      .slice(-3)
      .map((name) => Number.parseInt(name, 10));
    const offsets = stage.names('snapshot').map((name) => Number.parseInt(name, 10));
    expect(offsets.slice(-2)).toEqual([59, 60]);
    expect(offsets.length).toBeLessThanOrEqual(5);
    for (const base of bases) expect(offsets.some((one) => one >= base && one <= base + 2)).toBe(true);
  });
});

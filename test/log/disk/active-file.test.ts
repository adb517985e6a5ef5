import { beforeEach, describe, expect, it } from 'vitest';
import { ActiveFile } from '../../../src/log/disk/active-file.ts';
import { checkLog } from '../../../src/log/disk/log-check.ts';
import { SPARE_ROOM } from '../../../src/log/disk/spare-room.ts';
import { stampedBatch } from '../../support/batch.ts';
import { FakeDisk } from '../../support/fake-disk.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { LogStage, pathOf, segmentOf } from './log-stage.ts';
import { LOG_DIRECTORY } from './open-disk-log.ts';

const KiB = 1024;
let disk: FakeDisk;

const bytesOf = (length: number): Buffer[] => [Buffer.alloc(length, 1)];
const sizeOf = (path = '/file', of = disk): number => of.peek(path)!.length;

beforeEach(() => {
  disk = new FakeDisk();
});

describe('a file that is appended to', () => {
  it('has room behind a small durable write, as many as are before them and at most 64 KiB', async () => {
    const file = await ActiveFile.open(disk, '/file', true, 0);
    await file.write(bytesOf(100), 0);
    expect(sizeOf()).toBe(200);
    expect(disk.peek('/file')!.subarray(100)).toEqual(SPARE_ROOM.subarray(0, 100));
    await file.write(bytesOf(200 * KiB), 100);
    await file.write(bytesOf(100), 100 + 200 * KiB);
    expect(sizeOf()).toBe(200 + 200 * KiB + 64 * KiB);
  });

  it('stays as large as it is while what is written fits the room', async () => {
    const file = await ActiveFile.open(disk, '/file', true, 0);
    await file.write(bytesOf(1000), 0);
    await file.write(bytesOf(900), 1000);
    expect(sizeOf()).toBe(2000);
    await file.write(bytesOf(101), 1900);
    expect(sizeOf()).toBe(2 * 2001);
  });

  it('goes on with the room that it was opened with', async () => {
    disk.plant('/file', SPARE_ROOM.subarray(0, 500));
    const file = await ActiveFile.open(disk, '/file', true, 300);
    await file.write(bytesOf(100), 300);
    expect(sizeOf()).toBe(500);
  });

  it('has none where writes are not durable, nor behind large ones', async () => {
    const file = await ActiveFile.open(disk, '/file', false, 0);
    await file.write(bytesOf(100), 0);
    expect(sizeOf()).toBe(100);
    const other = await ActiveFile.open(disk, '/other', true, 0);
    await other.write(bytesOf(17 * KiB), 0);
    expect(sizeOf('/other')).toBe(17 * KiB);
  });

  it('loses the room that it was opened with where writes are not durable, before anything is written', async () => {
    const before = Buffer.concat([Buffer.alloc(300, 1), SPARE_ROOM.subarray(0, 200)]);
    disk.plant('/file', before);
    await ActiveFile.open(disk, '/file', false, 300);
    for (let seed = 0; seed < 20; seed++) {
      expect(disk.crash(new SeededRandom(seed)).peek('/file')).toEqual(before.subarray(0, 300));
    }
  });

  it('has none on the disk any more once it is trimmed', async () => {
    const file = await ActiveFile.open(disk, '/file', true, 0);
    await disk.syncDirectory('/');
    await file.write(bytesOf(100), 0);
    await file.trim(100);
    for (let seed = 0; seed < 20; seed++) {
      expect(sizeOf('/file', disk.crash(new SeededRandom(seed)))).toBe(100);
    }
  });
});

describe('a log whose small writes leave room behind them', () => {
  it('goes on there after it was killed, as after an orderly end', async () => {
    const stage = await LogStage.open();
    await stage.fill(1);
    const size = sizeOf(pathOf(segmentOf(0)), stage.disk);
    await stage.reopen();
    await stage.fill(1);
    expect(sizeOf(pathOf(segmentOf(0)), stage.disk)).toBe(size);
    expect(stage.events).toEqual([]);
    await stage.reopen();
    expect(stage.log.logEnd).toBe(2);
  });

  it('takes more room than it ever leaves for a write that was not finished', async () => {
    const stage = await LogStage.open();
    await stage.fill(1);
    const bytes = stage.disk.peek(pathOf(segmentOf(0)))!;
    const batch = bytes.subarray(0, bytes.length / 2);
    stage.disk = stage.disk.kill();
    stage.disk.plant(pathOf(segmentOf(0)), Buffer.concat([batch, SPARE_ROOM, SPARE_ROOM.subarray(0, 1)]));
    await stage.start();
    expect(stage.events).toEqual([`recovered, cut ${64 * KiB + 1}`]);
    expect(sizeOf(pathOf(segmentOf(0)), stage.disk)).toBe(batch.length);
  });

  it.each(['os', 'interval'] as const)(
    'has lost nothing when it is flushed as %s after it was killed, and leaves none from then on',
    async (flush) => {
      const stage = await LogStage.open();
      await stage.fill(1);
      const batchBytes = sizeOf(pathOf(segmentOf(0)), stage.disk) / 2;
      stage.disk = stage.disk.kill();
      const next = await LogStage.open({ flush }, { disk: stage.disk });
      expect([next.events, next.log.logEnd, next.log.lostFrom]).toEqual([[], 1, undefined]);
      expect(sizeOf(pathOf(segmentOf(0)), next.disk)).toBe(batchBytes);
    },
  );

  it('cuts off half a batch in it without a word, also when a record of that contains a batch', async () => {
    const stage = await LogStage.open();
    await stage.fill(1);
    const path = pathOf(segmentOf(0));
    const all = stage.disk.peek(path)!;
    const first = all.subarray(0, all.length / 2);
    const torn = stampedBatch(1, [{ value: 'x'.repeat(700) }]);
    stampedBatch(5, 1).copy(torn, 150);
    torn.fill(SPARE_ROOM.subarray(0, 60), 500, 560);
    stage.disk = stage.disk.kill();
    stage.disk.plant(path, Buffer.concat([first, torn, SPARE_ROOM.subarray(0, 800)]));
    await stage.start();
    expect(stage.events).toEqual([`recovered, cut ${torn.length + 800}`]);
    expect([stage.log.logEnd, stage.log.lostFrom]).toEqual([1, undefined]);
  });

  it('has damage for a check where there are zeros instead, as a lost write leaves them', async () => {
    const stage = await LogStage.open();
    await stage.fill(1);
    const path = pathOf(segmentOf(0));
    const check = async (): Promise<string[]> => {
      const { findings } = await checkLog(LOG_DIRECTORY, stage.disk, new AbortController().signal);
      return findings.map(({ what }) => what);
    };
    stage.disk = stage.disk.kill();
    expect(await check()).toEqual([]);
    const bytes = stage.disk.peek(path)!;
    stage.disk.plant(path, bytes.fill(0, bytes.length / 2));
    expect(await check()).toEqual([`${bytes.length / 2} bytes of a write that was not finished`]);
  });

  it('says that it may have lost something when it finds zeros where writes are not durable', async () => {
    const stage = await LogStage.open({ flush: 'os' });
    await stage.fill(1);
    const batch = stage.disk.peek(pathOf(segmentOf(0)))!;
    stage.disk = stage.disk.kill();
    stage.disk.plant(pathOf(segmentOf(0)), Buffer.concat([batch, Buffer.alloc(100)]));
    await stage.start();
    expect(stage.log.lostFrom).toBeDefined();
    expect(sizeOf(pathOf(segmentOf(0)), stage.disk)).toBe(batch.length);
  });

  it('has none in segments that are full, nor when it is closed', async () => {
    const stage = await LogStage.open();
    await stage.fill(4);
    const batchBytes = sizeOf(pathOf(segmentOf(0)), stage.disk) / 3;
    expect(sizeOf(pathOf(segmentOf(3)), stage.disk)).toBe(2 * batchBytes);
    await stage.log.close();
    expect(sizeOf(pathOf(segmentOf(3)), stage.disk)).toBe(batchBytes);
    await stage.start();
    expect(stage.events).toEqual([]);
  });

  it('cuts it off where the log goes on behind what it has lost', async () => {
    const stage = await LogStage.open();
    await stage.fill(2);
    await stage.log.close();
    const bytes = stage.disk.peek(pathOf(segmentOf(0)))!;
    const one = bytes.subarray(0, bytes.length / 2);
    stage.disk.plant(pathOf(segmentOf(0)), Buffer.concat([one, SPARE_ROOM.subarray(0, 100)]));
    await stage.reopen();
    expect(stage.names('log')).toEqual([segmentOf(0), segmentOf(2)]);
    expect(sizeOf(pathOf(segmentOf(0)), stage.disk)).toBe(one.length);
  });
});

import { describe, expect, it } from 'vitest';
import { COMPACTION_FILE, CompactionState, readCompaction } from '../../../src/log/disk/compaction-state.ts';
import { FakeDisk } from '../../support/fake-disk.ts';

const DIRECTORY = '/log';
const PATH = `${DIRECTORY}/${COMPACTION_FILE}`;
const TOMBSTONE_MS = 4000;

async function emptyDisk(): Promise<FakeDisk> {
  const disk = new FakeDisk();
  await disk.makeDirectory(DIRECTORY);
  await disk.syncDirectory('/');
  return disk;
}

/** A log whose parts below 10 and below 20 were compacted at 1000 and at 3000 ms, both with tombstones. */
async function twoParts(disk: FakeDisk): Promise<CompactionState> {
  const state = await CompactionState.load(DIRECTORY, disk);
  await state.begin(20);
  await state.finish(10, new Set([10]), TOMBSTONE_MS, 1000);
  await state.finish(20, new Set([10, 20]), TOMBSTONE_MS, 3000);
  return state;
}

describe('state of compaction', () => {
  it('of a log that never was compacted is empty', async () => {
    const state = await CompactionState.load(DIRECTORY, await emptyDisk());
    expect(state.facts).toEqual({
      rewrittenBelow: 0,
      compactedBelow: 0,
      hasHoles: false,
      tombstones: [],
    });
    expect(state.tombstonesDueMs(TOMBSTONE_MS)).toBe(Infinity);
  });

  it('comes back from its file, after a loss of power too', async () => {
    const disk = await emptyDisk();
    const { facts } = await twoParts(disk);
    expect(await readCompaction(DIRECTORY, disk.crash())).toEqual(facts);
    expect(facts).toEqual({
      rewrittenBelow: 20,
      compactedBelow: 20,
      hasHoles: false,
      tombstones: [
        { below: 10, sinceMs: 1000 },
        { below: 20, sinceMs: 3000 },
      ],
    });
  });

  it('has the bytes that the format says', async () => {
    const disk = await emptyDisk();
    const state = await CompactionState.load(DIRECTORY, disk);
    await state.finish(10, new Set([10]), TOMBSTONE_MS, 1000);
    expect(disk.peek(PATH)!.toString('hex')).toBe(
      '534c435000000002000000000000000040240000000000000000000000000001' +
        '4024000000000000408f400000000000' +
        'bfe10875',
    );
  });

  it('is taken for unknown when any byte of its file is damaged', async () => {
    const disk = await emptyDisk();
    await twoParts(disk);
    const bytes = disk.peek(PATH)!;
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= 4;
      disk.plant(PATH, damaged);
      expect(await readCompaction(DIRECTORY, disk)).toEqual({
        rewrittenBelow: Infinity,
        compactedBelow: 0,
        hasHoles: true,
        tombstones: [],
      });
    }
  });

  it('is taken for unknown when its file is cut off', async () => {
    const disk = await emptyDisk();
    await twoParts(disk);
    const bytes = disk.peek(PATH)!;
    for (let length = 0; length < bytes.length; length++) {
      disk.plant(PATH, bytes.subarray(0, length));
      expect((await readCompaction(DIRECTORY, disk)).rewrittenBelow).toBe(Infinity);
    }
  });

  it('says when tombstones are due, and below which offset', async () => {
    const state = await twoParts(await emptyDisk());
    expect(state.tombstonesDueMs(TOMBSTONE_MS)).toBe(5000);
    expect(state.expiredBelow(TOMBSTONE_MS, 4999)).toBe(0);
    expect(state.expiredBelow(TOMBSTONE_MS, 5000)).toBe(10);
    expect(state.expiredBelow(TOMBSTONE_MS, 7000)).toBe(20);
  });

  it('forgets parts in which no tombstones are left', async () => {
    const state = await twoParts(await emptyDisk());
    await state.finish(30, new Set([20]), TOMBSTONE_MS, 5000);
    expect(state.facts.tombstones).toEqual([{ below: 20, sinceMs: 3000 }]);
    expect(state.facts.compactedBelow).toBe(30);
  });

  it('never lets tombstones go before their time, and a quarter of it later at most', async () => {
    const state = await CompactionState.load(DIRECTORY, await emptyDisk());
    await state.finish(10, new Set([10]), TOMBSTONE_MS, 1001);
    const dueMs = state.tombstonesDueMs(TOMBSTONE_MS);
    expect(dueMs).toBeGreaterThanOrEqual(1001 + TOMBSTONE_MS);
    expect(dueMs).toBeLessThanOrEqual(1001 + TOMBSTONE_MS * 1.25);
  });

  it('has few parts, however often a log is compacted', async () => {
    const state = await CompactionState.load(DIRECTORY, await emptyDisk());
    for (let n = 1; n <= 100; n++) {
      const parts = new Set([n, ...state.facts.tombstones.map(({ below }) => below)]);
      await state.finish(n, parts, TOMBSTONE_MS, n * 20);
    }
    expect(state.facts.tombstones.length).toBeLessThanOrEqual(3);
    expect(state.facts.tombstones.at(-1)!.below).toBe(100);
  });

  it('counts what is appended after a cut as not compacted', async () => {
    const disk = await emptyDisk();
    const state = await twoParts(disk);
    await state.truncate(15);
    expect(await readCompaction(DIRECTORY, disk)).toMatchObject({
      rewrittenBelow: 20,
      compactedBelow: 15,
      tombstones: [
        { below: 10, sinceMs: 1000 },
        { below: 15, sinceMs: 3000 },
      ],
    });
  });

  it('stays as it was when it cannot be written', async () => {
    const disk = await emptyDisk();
    const state = await twoParts(disk);
    const { facts } = state;
    disk.fail({ code: 'ENOSPC' });
    await expect(state.truncate(5)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(state.facts).toBe(facts);
  });
});

import { describe, expect, it } from 'vitest';
import { SegmentIndex } from '../../../src/log/disk/segment-index.ts';
import { readBatchHeader, stampBatch, batchNextOffset } from '../../../src/wire/record-batch.ts';
import { CODECS } from '../../../src/wire/codecs.ts';
import type { Codec } from '../../../src/wire/codecs.ts';
import { batchOf } from '../../support/batch.ts';
import { checkSame } from '../../support/cheap-checks.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import type { TestBatch } from './compaction-stage.ts';
import { CompactionStage, DIRECTORY, batch, isUnfinished, latestOf } from './compaction-stage.ts';

const MERGE = { mapBytes: 1e6, segmentBytes: 1e6, segmentMs: Infinity, segmentRecords: Infinity };

/** Segments of random batches over few keys. */
function randomSegments(random: SeededRandom): TestBatch[][] {
  const codecs = Object.keys(CODECS) as Codec[];
  return Array.from({ length: random.between(1, 5) }, () =>
    Array.from({ length: random.between(1, 6) }, () => ({
      records: Array.from({ length: random.pick([1, 2, 8]) }, () => ({
        key: random.chance(0.85) ? `k${random.below(8)}` : null,
        value: random.chance(0.2) ? null : `v${random.below(1000)}`,
      })),
      codec: random.pick(codecs),
      ...(random.chance(0.5) && { producerId: random.below(3), producerEpoch: 0, baseSequence: 0 }),
    })),
  );
}

describe('compaction', () => {
  it('leaves the latest record of each key, where it was', async () => {
    const stage = await CompactionStage.write([[batch('a=1 b=1'), batch('a=2')], [batch('b=2 c=1')]]);
    await stage.compact();
    expect(stage.texts()).toEqual(['2 a=2', '3 b=2', '4 c=1']);
  });

  it('leaves records without key', async () => {
    const stage = await CompactionStage.write([[batch('=1 a=1 =2 a=2')]]);
    await stage.compact();
    expect(stage.texts()).toEqual(['0 =1', '2 =2', '3 a=2']);
  });

  it('takes the empty key for a key', async () => {
    const stage = await CompactionStage.write([[{ records: [{ key: '' }, { key: '', value: 'w' }] }]]);
    await stage.compact();
    expect(stage.records()).toEqual([{ offset: 1, key: '', value: 'w' }]);
  });

  it('only looks for later records in what is not compacted yet', async () => {
    const stage = await CompactionStage.write([[batch('a=1 a=2 b=1')], [batch('b=2')]]);
    await stage.compact({ compactedBelow: 3 });
    expect(stage.texts()).toEqual(['0 a=1', '1 a=2', '3 b=2']);
  });

  it('leaves a batch of which everything stays as it is, byte for byte', async () => {
    const stage = await CompactionStage.write([
      [batch('a=1'), batch('b=1 c=1', { codec: 'gzip' })],
      [batch('a=2')],
    ]);
    const before = stage.batches()[1]!.bytes;
    await stage.compact();
    expect(stage.batches()[0]!.bytes).toEqual(before);
  });

  it.each(Object.keys(CODECS) as Codec[])('leaves a thinned batch in its codec: %s', async (codec) => {
    const stage = await CompactionStage.write([[batch('a=1 b=1', { codec })], [batch('a=2')]]);
    await stage.compact();
    expect(stage.batches()[0]!.header).toMatchObject({ codec, recordCount: 1, lastOffsetDelta: 1 });
    expect(stage.texts()).toEqual(['1 b=1', '2 a=2']);
  });

  it('gives a thinned batch the largest timestamp that is left', async () => {
    const records = [
      { key: 'a', timestampMs: 5000 },
      { key: 'b', timestampMs: 3000 },
      { key: 'c', timestampMs: 2000 },
    ];
    const stage = await CompactionStage.write([[{ records }], [batch('a=2')]]);
    await stage.compact();
    expect(stage.batches()[0]!.header.maxTimestampMs).toBe(3000);
  });

  it('keeps a batch whose records cannot be read, and what it would replace', async () => {
    const stage = await CompactionStage.write([[batch('a=1')], [batch('a=2 b=2 c=2')], [batch('d=1')]]);
    const { path } = stage.segments[1]!;
    const bytes = stage.disk.peek(path)!;
    const header = readBatchHeader(bytes);
    // A record less than it says, with the right CRC.
    const cut = batchOf([{ key: 'a' }, { key: 'b' }]);
    cut.writeInt32BE(3, 57);
    cut.writeInt32BE(2, 23);
    stampBatch(cut, header.baseOffset, 1, 1000);
    stage.disk.plant(path, cut);
    await stage.find();
    await stage.compact();
    expect(stage.batches().map(({ bytes }) => bytes)).toContainEqual(cut);
    expect(stage.batches()[0]!.header.recordCount).toBe(1);
  });

  it('goes on in another round where memory ends', async () => {
    const keys = Array.from({ length: 100 }, (_, n) => `k${n}=1`).join(' ');
    const stage = await CompactionStage.write([[batch(keys)], [batch(keys)]]);
    const expected = latestOf(stage.records());
    const limits = { ...MERGE, mapBytes: 1000, segmentBytes: 0 };
    let compactedBelow = 0;
    let rounds = 0;
    for (let isComplete = false; !isComplete; rounds++) {
      const before = compactedBelow;
      ({ compactedBelow, isComplete } = await stage.compact({ compactedBelow, limits }));
      expect(compactedBelow).toBeGreaterThan(before);
    }
    expect(rounds).toBeGreaterThan(2);
    expect(stage.records()).toEqual(expected);
  });

  it('tells what it did', async () => {
    const stage = await CompactionStage.write([[batch('a=1 b=1')], [batch('a=2')]]);
    const sizes = stage.segments.map(({ bytes }) => bytes);
    const result = await stage.compact();
    expect(result).toMatchObject({ compactedBelow: 3, isComplete: true, droppedRecords: 1 });
    expect(result.freedBytes).toBe(sizes[0]! - stage.segments[0]!.bytes);
  });

  it('says where a batch is damaged, and leaves that segment alone', async () => {
    const stage = await CompactionStage.write([[batch('a=1'), batch('a=2')], [batch('a=3')]]);
    const { path } = stage.segments[0]!;
    const bytes = stage.disk.peek(path)!;
    bytes[bytes.length - 1]! ^= 1;
    stage.disk.plant(path, bytes);
    const reports: [string, number][] = [];
    const done = stage.compact({ onCorrupt: (file, position) => reports.push([file, position]) });
    await expect(done).rejects.toMatchObject({ code: 'CORRUPT_LOG' });
    expect(reports).toEqual([[path, bytes.readInt32BE(8) + 12]]);
    expect(stage.disk.peek(path)).toEqual(bytes);
  });

  it('ends soon when it is told to, and leaves no file open', async () => {
    const stage = await CompactionStage.write([[batch('a=1'), batch('a=2')], [batch('a=3')]]);
    const control = new AbortController();
    const done = stage.compact({ signal: control.signal });
    control.abort();
    await expect(done).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(stage.disk.openFiles).toBe(0);
  });

  it('rests when it has worked for a while', async () => {
    const stage = await CompactionStage.write([[batch('a=1'), batch('a=2')]]);
    const { clock } = stage;
    const read = clock.monotonicMs.bind(clock);
    let looks = 0;
    clock.monotonicMs = () => read() + ++looks / 4;
    let rests = 0;
    clock.setTimer = (_delayMs, callback) => {
      rests++;
      queueMicrotask(callback);
      return { cancel: () => undefined };
    };
    await stage.compact();
    expect(rests).toBeGreaterThan(0);
  });
});

describe('compaction of records without value', () => {
  it('keeps them until their time has come', async () => {
    const stage = await CompactionStage.write([[batch('a=1 a=')], [batch('b=')]]);
    const { withTombstones } = await stage.compact();
    expect(stage.texts()).toEqual(['1 a=', '2 b=']);
    expect([...withTombstones]).toEqual([3]);
  });

  it('removes them then', async () => {
    const stage = await CompactionStage.write([[batch('a=')], [batch('b=')], [batch('c=')]]);
    const { withTombstones } = await stage.compact({
      compactedBelow: 2,
      tombstonesBelow: 1,
      tombstoneParts: [1, 2],
    });
    expect(stage.texts()).toEqual(['1 b=', '2 c=']);
    expect([...withTombstones]).toEqual([2, 3]);
  });

  it('keeps those without key', async () => {
    const stage = await CompactionStage.write([[batch('= a=1')]]);
    await stage.compact({ compactedBelow: 2, tombstonesBelow: 2, tombstoneParts: [2] });
    expect(stage.texts()).toEqual(['0 =', '1 a=1']);
  });
});

describe('compaction of batches of producers', () => {
  const by = (producerId: number, baseSequence: number) => ({ producerId, producerEpoch: 0, baseSequence });

  it("keeps the header of a producer's last batch when nothing is left in it", async () => {
    const stage = await CompactionStage.write([
      [batch('a=1', by(7, 0)), batch('a=2', by(7, 1))],
      [batch('a=3')],
    ]);
    await stage.compact();
    expect(
      stage.batches().map(({ header }) => [header.producerId, header.baseSequence, header.recordCount]),
    ).toEqual([
      [7, 1, 0],
      [-1, -1, 1],
    ]);
  });

  it('drops it when the producer has sent more since', async () => {
    const stage = await CompactionStage.write([
      [batch('a=1', by(7, 0)), batch('b=1')],
      [batch('a=2', by(7, 1))],
    ]);
    await stage.compact();
    expect(stage.batches().map(({ header }) => header.baseOffset)).toEqual([1, 2]);
  });

  it('drops it in a later round, when the producer has sent more by then', async () => {
    const stage = await CompactionStage.write([
      [batch('a=1', by(7, 0)), batch('b=1')],
      [batch('a=2')],
      [batch('c=1', by(7, 1))],
    ]);
    const all = stage.segments;
    stage.segments = all.slice(0, 2);
    await stage.compact();
    expect(stage.batches()).toHaveLength(3);
    stage.segments.push(all[2]!);
    await stage.compact({ compactedBelow: 3 });
    expect(stage.batches().map(({ header }) => header.baseOffset)).toEqual([1, 2, 3]);
  });

  it('drops the batch of a record that has no producer', async () => {
    const stage = await CompactionStage.write([[batch('a=1'), batch('b=1')], [batch('a=2')]]);
    await stage.compact();
    expect(stage.batches().map(({ header }) => header.baseOffset)).toEqual([1, 2]);
  });
});

describe('files of a compaction', () => {
  it('are left alone when nothing is dropped from them', async () => {
    const stage = await CompactionStage.write([[batch('a=1')], [batch('b=1')]]);
    await stage.compact();
    expect(stage.disk.calls.some(({ kind, path }) => kind === 'rename' || isUnfinished(path))).toBe(false);
  });

  it('say how far they reach although nothing is left at their end', async () => {
    const stage = await CompactionStage.write([[batch('b=1'), batch('a=1'), batch('a=2')], [batch('a=3')]]);
    await stage.compact();
    const last = stage.batches()[1]!;
    expect(last.header).toMatchObject({ baseOffset: 2, recordCount: 0 });
    expect(batchNextOffset(last.bytes)).toBe(stage.segments[0]!.nextOffset);
  });

  it('are left alone in a second round, with the empty batch at their end', async () => {
    const stage = await CompactionStage.write([[batch('b=1'), batch('a=1'), batch('a=2')], [batch('a=3')]]);
    await stage.compact();
    const renames = stage.disk.calls.filter(({ kind }) => kind === 'rename').length;
    await stage.compact({ compactedBelow: 4 });
    expect(stage.disk.calls.filter(({ kind }) => kind === 'rename')).toHaveLength(renames);
  });

  it('are merged with their neighbours while they fit', async () => {
    const stage = await CompactionStage.write([[batch('a=1')], [batch('b=1')], [batch('c=1')]]);
    const bytes = stage.segments[0]!.bytes;
    await stage.compact({ limits: { ...MERGE, segmentBytes: 2 * bytes } });
    expect(stage.segments.map(({ baseOffset, nextOffset }) => [baseOffset, nextOffset])).toEqual([
      [0, 2],
      [2, 3],
    ]);
    expect(stage.texts()).toEqual(['0 a=1', '1 b=1', '2 c=1']);
  });

  it('are not merged over more time or offsets than a segment may have', async () => {
    const write = () => CompactionStage.write([[batch('a=1')], [batch('b=1')], [batch('c=1')]]);
    const byTime = await write();
    await byTime.compact({ limits: { ...MERGE, segmentMs: 1000 } });
    expect(byTime.segments.map(({ baseOffset }) => baseOffset)).toEqual([0, 2]);
    const byOffsets = await write();
    await byOffsets.compact({ limits: { ...MERGE, segmentRecords: 1 } });
    expect(byOffsets.segments).toHaveLength(3);
  });

  it('leave nothing behind of what was merged', async () => {
    const stage = await CompactionStage.write([[batch('a=1')], [batch('b=1')], [batch('a=2')]]);
    await stage.compact({ limits: MERGE });
    const base = '00000000000000000000';
    expect(stage.names()).toEqual([`${base}.index`, `${base}.log`]);
  });

  it('have an index that fits, with the times of their appends', async () => {
    const stage = await CompactionStage.write([[batch('a=1')], [batch('b=1')], [batch('a=2')]]);
    await stage.compact({ limits: MERGE });
    const [segment] = stage.segments;
    const { index, facts } = SegmentIndex.decode(stage.disk.peek(segment!.indexPath)!)!;
    expect(facts).toEqual({
      baseOffset: 0,
      nextOffset: 3,
      bytes: stage.disk.peek(segment!.path)!.length,
      maxTimestampMs: 1000,
      firstAppendMs: 0,
      lastAppendMs: 2000,
    });
    expect(index.find(1)).toEqual({ position: 0, baseOffset: 1 });
    expect(index.appendedMsAt(1)).toBe(1000);
  });

  it('are kept as they were when its owner does not want them replaced any more', async () => {
    const stage = await CompactionStage.write([[batch('a=1 a=2')]]);
    const before = stage.disk.peek(stage.segments[0]!.path);
    const done = stage.compact({
      onReplacing: () => {
        throw new RangeError('gone');
      },
    });
    await expect(done).rejects.toThrow(RangeError);
    expect(stage.disk.peek(stage.segments[0]!.path)).toEqual(before);
  });
});

describe('compaction of anything', () => {
  it('leaves what it should, merged or not, in one round or several', async () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = new SeededRandom(seed);
      const stage = await CompactionStage.write(randomSegments(random), random.pick([0, 1000]));
      const expected = latestOf(stage.records());
      const limits = { ...MERGE, segmentBytes: random.pick([0, 400, 1e6]) };
      await stage.compact({ limits });
      expect(stage.records(), `seed ${seed}`).toEqual(expected);
      await stage.find();
      expect(stage.records(), `seed ${seed}, found again`).toEqual(expected);
    }
  });

  it('may end at any system call: what is left is whole, and the next round brings it to an end', async () => {
    for (let seed = 1; seed <= 4; seed++) {
      const write = () => CompactionStage.write(randomSegments(new SeededRandom(seed)));
      const limits = { ...MERGE, segmentBytes: seed % 2 === 0 ? 1e6 : 400 };
      const complete = await write();
      const all = complete.records();
      const expected = latestOf(all);
      const known = new Map(all.map((one) => [one.offset, JSON.stringify(one)]));
      const before = complete.disk.calls.length;
      await complete.compact({ limits });
      for (let call = before; call < complete.disk.calls.length; call++) {
        for (const way of ['kill', 'crash', 'crash'] as const) {
          const where = `seed ${seed}, ${way} at call ${call}, ${JSON.stringify(complete.disk.calls[call])}`;
          const stage = await write();
          stage.disk.stopAt(call, (complete.disk.calls[call]!.bytes >>> 1) + 1);
          await Promise.race([stage.compact({ limits }), stage.disk.stopped]);
          stage.disk = way === 'kill' ? stage.disk.kill() : stage.disk.crash(new SeededRandom(call));
          await stage.find();
          const found = stage.records();
          for (const one of found) checkSame(JSON.stringify(one), known.get(one.offset), where);
          const offsets = new Set(found.map(({ offset }) => offset));
          expect(
            expected.filter(({ offset }) => !offsets.has(offset)),
            where,
          ).toEqual([]);
          for (const name of stage.names().filter(isUnfinished))
            await stage.disk.removeFile(`${DIRECTORY}/${name}`);
          await stage.compact({ limits });
          expect(stage.records(), where).toEqual(expected);
        }
      }
    }
  }, 60_000);
});

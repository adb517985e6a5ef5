import { beforeEach, describe, expect, it } from 'vitest';
import type { SluiceError } from '../../src/kernel/errors.ts';
import type { Partition } from '../../src/partition/partition.ts';
import { turns } from '../support/turns.ts';
import { offsetsOf, span } from './observer-stage.ts';
import { ScriptedSource, batches } from './scripted-source.ts';

const ENDS = { highWatermark: 10, logEnd: 10 };

let source: ScriptedSource;
let copy: Partition;
let reading: Promise<string>;

beforeEach(async () => {
  source = new ScriptedSource();
  copy = await source.begin(10, 5);
  reading = offsetsOf(await copy.openReader({ at: 'offset', offset: 4 }));
  await turns();
  expect(source.asked).toEqual(['c: 10 after 5', 'c: 4 to 9']);
});

describe('a read of what is older than the tail', () => {
  it('goes on in memory where that begins', async () => {
    await source.answer(4, { ...ENDS, batches: batches(4, 9, 5) });
    expect(await reading).toBe(span(4, 10));
  });

  it('asks again for what did not fit', async () => {
    await source.answer(4, { ...ENDS, batches: batches(4, 6, 5) });
    await source.answer(6, { ...ENDS, batches: batches(6, 9, 5) });
    expect(await reading).toBe(span(4, 10));
  });

  it('passes over holes', async () => {
    await source.answer(4, { ...ENDS, batches: batches(6, 7, 5) });
    await source.answer(7, ENDS);
    expect(await reading).toBe('6 9');
  });

  it('asks another node when a copy has not come so far, and takes nothing from it', async () => {
    await source.answer(4, { highWatermark: 6, logEnd: 10 });
    expect(source.asked).toEqual(['c: 10 after 5', 'b: 4 to 9']);
    await source.answer(4, { ...ENDS, batches: batches(4, 9, 5) });
    expect(await reading).toBe(span(4, 10));
  });

  it('asks another node when a copy is in an epoch that is over', async () => {
    await source.answer(4, { ...ENDS, leaderEpoch: 6, batches: batches(4, 9, 5) });
    expect(source.asked).toEqual(['c: 10 after 5', 'b: 4 to 9']);
  });

  it('waits until it is known what another epoch means for what is here', async () => {
    await source.answer(4, { ...ENDS, leaderEpoch: 9, batches: batches(4, 9, 8) });
    expect(source.asked).toEqual(['c: 10 after 5']);
    await source.answer(10, { ...ENDS, leaderEpoch: 9 });
    source.clock.advance(100);
    await turns();
    expect(source.asked).toEqual(['c: 10 after 5', 'c: 4 to 9']);
    await source.answer(4, { ...ENDS, leaderEpoch: 9, batches: batches(4, 9, 5) });
    expect(await reading).toBe(span(4, 10));
  });

  it('is told once, to all who wait for it', async () => {
    const other = offsetsOf(await copy.openReader({ at: 'offset', offset: 4 }));
    await turns();
    expect(source.asked).toEqual(['c: 10 after 5', 'c: 4 to 9']);
    await source.answer(4, { ...ENDS, batches: batches(4, 9, 5) });
    expect([await reading, await other]).toEqual([span(4, 10), span(4, 10)]);
  });

  it('that comes after the copy has gone ends nobody with an error', async () => {
    void copy.close();
    await source.answer(4, { ...ENDS, batches: batches(4, 9, 5) });
    expect(await reading).toBe('end undefined');
  });

  it('does not take a history that was taken back for one with nothing as young as a time', async () => {
    source.leaderOffset = 4;
    const searching = Promise.resolve(copy.offsetAt({ at: 'timestamp', timestampMs: 1 })).catch(
      (error: unknown) => (error as SluiceError).code,
    );
    await turns();
    source.cluster.put({ leader: 'c', leaderEpoch: 9 });
    const diverging = { epoch: 4, endOffset: 3 };
    await source.answer(10, { ...ENDS, leaderEpoch: 9, diverging });
    await source.answer(4, { ...ENDS, batches: batches(4, 9, 5) });
    expect(await searching).toBe('UNAVAILABLE');
  });

  it('is not tried again when all have gone who wait for it, and is when another comes', async () => {
    const gone = await copy.openReader({ at: 'offset', offset: 2 });
    const other = await copy.openReader({ at: 'offset', offset: 2 });
    const reads = [gone, other].map(async (reader) => reader.read(1));
    await turns();
    gone.close();
    await source.answer(2, { highWatermark: 3, logEnd: 10 });
    expect(source.asked).toContain('b: 2 to 9');
    other.close();
    await source.answer(2, { highWatermark: 3, logEnd: 10 });
    expect(await Promise.all(reads)).toEqual(reads.map(() => ({ kind: 'ended', code: undefined })));
    source.clock.advance(10_000);
    await turns();
    expect(source.asked).toEqual(['c: 10 after 5', 'c: 4 to 9']);

    const later = offsetsOf(await copy.openReader({ at: 'offset', offset: 2 }));
    await turns();
    await source.answer(2, { ...ENDS, batches: batches(2, 9, 5) });
    expect(await later).toBe(span(2, 10));
  });

  it('is not begun when its reader has gone before its turn', async () => {
    const long = new ScriptedSource();
    const behind = await long.begin(1000, 5);
    const readers = await Promise.all(
      Array.from({ length: 40 }, async (_, n) => behind.openReader({ at: 'offset', offset: n * 10 })),
    );
    const reads = readers.map(async (reader) => reader.read(1));
    await turns();
    const begun = (): number[] => long.asked.slice(1).map((asked) => parseInt(asked.split(' ')[1]!));
    const { length } = begun();
    expect(length).toBeLessThan(39);
    for (const reader of readers.slice(length, 39)) reader.close();
    await long.answer(0, { highWatermark: 1000, logEnd: 1000, batches: batches(0, 1, 5) });
    await reads[0];
    expect(begun().at(-1)).toBe(390);
    void behind.close();
  });

  it('brings nothing of a history that was taken back meanwhile', async () => {
    source.cluster.put({ leader: 'c', leaderEpoch: 9 });
    const diverging = { epoch: 4, endOffset: 3 };
    await source.answer(10, { ...ENDS, leaderEpoch: 9, diverging });
    await source.answer(4, { ...ENDS, batches: batches(4, 9, 5) });
    expect(await reading).toBe('end OFFSET_OUT_OF_RANGE');
  });
});

import { beforeEach, describe, expect, it } from 'vitest';
import type { Partition } from '../../src/partition/partition.ts';
import { batches, ScriptedSource } from './scripted-source.ts';

const ENDS = { highWatermark: 100, logEnd: 100 };
/** Of ten batches of one record, and the share of it that a range is cut for. */
const READ_BYTES = Math.ceil((10 * batches(0, 1, 5)[0]!.length) / 0.9);

let source: ScriptedSource;
let copy: Partition;

beforeEach(async () => {
  source = new ScriptedSource({ readBytes: READ_BYTES });
  copy = await source.begin(10, 5);
  await source.answer(10, { ...ENDS, batches: batches(10, 20, 5) });
  expect(source.asked).toEqual(['c: 20 to 30 after 5', 'c: 30 to 40']);
});

describe('two reads of a copy that is far behind', () => {
  it('are worked in in order, whichever is answered first', async () => {
    await source.answer(30, { ...ENDS, batches: batches(30, 40, 5) });
    expect(copy.highWatermark).toBe(20);
    await source.answer(20, { ...ENDS, batches: batches(20, 30, 5) });
    expect(copy.highWatermark).toBe(40);
    expect(source.asked).toEqual(['c: 40 to 50', 'c: 50 to 60']);
  });

  it('leave nothing out where the first brings less than its range', async () => {
    await source.answer(20, { ...ENDS, batches: batches(20, 24, 5) });
    expect(source.asked).toEqual(['c: 30 to 40', 'c: 24 to 30']);
    await source.answer(30, { ...ENDS, batches: batches(30, 40, 5) });
    expect(copy.highWatermark).toBe(24);
    await source.answer(24, { ...ENDS, batches: batches(24, 30, 5) });
    expect(copy.highWatermark).toBe(40);
  });

  it('are asked again with what is here when the second is not known to go on from the first', async () => {
    await source.answer(20, { ...ENDS, batches: batches(20, 30, 5) });
    await source.answer(30, { ...ENDS, batches: batches(30, 40, 6) });
    expect(copy.highWatermark).toBe(30);
    expect(source.asked.filter((asked) => asked.includes('after'))).toEqual(['c: 30 to 40 after 5']);
  });

  it.each([
    ['cut short', (batch: Buffer) => batch.subarray(0, 20)],
    ['of no bytes', () => Buffer.alloc(0)],
  ])('take nothing of an answer with a batch %s, and ask elsewhere', async (_what, damage) => {
    const [first, second] = batches(20, 22, 5);
    await source.answer(20, { ...ENDS, batches: [first!, damage(second!)] });
    expect(copy.highWatermark).toBe(20);
    expect(source.observers.counters).toMatchObject({ lastError: 'CORRUPT_BATCH' });
    expect(source.asked).toContain('b: 20 to 30 after 5');
    await source.answer(20, { ...ENDS, batches: [first!, second!] });
    expect(copy.highWatermark).toBe(22);
  });

  it('are asked again with what is here when there is another leader', async () => {
    await source.answer(20, { ...ENDS, batches: batches(20, 30, 5) });
    await source.answer(30, { ...ENDS, leaderEpoch: 9, batches: batches(30, 40, 5) });
    expect([copy.highWatermark, copy.leaderEpoch]).toEqual([30, 7]);
    expect(source.asked.filter((asked) => asked.includes('after'))).toEqual(['c: 30 to 40 after 5']);
  });

  it('pass over no record when the log begins above what the second asked for', async () => {
    const long = batches(20, 29, 5);
    // The first one goes beyond its range.
    await source.answer(20, { ...ENDS, batches: [...long, ...batches(29, 35, 5)] });
    expect(copy.highWatermark).toBe(35);
    await source.answer(30, { ...ENDS, logStart: 33 });
    expect(copy.highWatermark).toBe(35);
    expect(source.asked).toContain('c: 35 to 45 after 5');
  });

  it('take what comes twice once', async () => {
    await source.answer(20, { ...ENDS, batches: batches(20, 35, 5) });
    await source.answer(30, { ...ENDS, batches: batches(30, 34, 5) });
    expect(copy.highWatermark).toBe(35);
    await source.answer(35, { ...ENDS, batches: batches(35, 40, 5) });
    expect(copy.highWatermark).toBe(40);
  });
});

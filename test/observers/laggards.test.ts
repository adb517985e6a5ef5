import { expect, it } from 'vitest';
import { ObserverStage } from './observer-stage.ts';

const KiB = 1024;
const READ_BYTES = 128 * KiB;
const STEP_BYTES = 5 * KiB;
const BATCHES_EACH = 300;

/** Readers at places of their own, which take little at a time in turn. @returns bytes that were sent for each byte they have read */
async function sentPerByte(laggards: number): Promise<number> {
  const stage = new ObserverStage({ tailBytes: 10 * KiB, readBytes: READ_BYTES });
  stage.start('b');
  stage.publish(laggards * BATCHES_EACH, { value: 'x'.repeat(2 * KiB) });
  stage.open();
  await stage.settle();
  const readers = [];
  for (let n = 0; n < laggards; n++) {
    readers.push(await stage.subscribe({ at: 'offset', offset: n * BATCHES_EACH }));
  }
  const node = stage.node('b');
  const before = node.sentBytes;
  let bytes = 0;
  for (let step = 0; step < (BATCHES_EACH * 2 * KiB) / STEP_BYTES - 10; step++) {
    for (const reader of readers) {
      const result = await reader.read(STEP_BYTES);
      if (result.kind !== 'batches') throw new TypeError(result.kind);
      for (const batch of result.batches) bytes += batch.length;
    }
  }
  return (node.sentBytes - before) / bytes;
}

it.each([2, 3, 16])(
  '%i readers behind at different places have next to nothing sent twice',
  async (laggards) => {
    expect(await sentPerByte(laggards)).toBeLessThan(2);
  },
);

it('one reader behind has as much sent at once as may be', async () => {
  const stage = new ObserverStage({ tailBytes: 10 * KiB, readBytes: READ_BYTES });
  stage.start('b');
  stage.publish(300, { value: 'x'.repeat(2 * KiB) });
  const reader = await stage.subscribe({ at: 'earliest' });
  const { asked } = stage.node('b');
  const before = asked.length;
  for (let step = 0; step < 100; step++) await reader.read(STEP_BYTES);
  const reads = asked.slice(before).filter(({ upTo }) => upTo !== undefined);
  expect(reads.length).toBeGreaterThan(2);
  expect(reads.every(({ maxBytes }) => maxBytes === READ_BYTES)).toBe(true);
});

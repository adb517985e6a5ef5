/** Ends that histories at random come upon too rarely. */
import { beforeEach, expect, it } from 'vitest';
import type { DiskLog, DiskLogSettings } from '../../../src/log/disk/disk-log.ts';
import { readBatchHeader, stampBatch } from '../../../src/wire/record-batch.ts';
import { batchOf, stampedBatch } from '../../support/batch.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeDisk } from '../../support/fake-disk.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { turns } from '../../support/turns.ts';
import { readAll } from '../array-log.ts';
import { KEEP_ALL, openDiskLog } from './open-disk-log.ts';
import { ProducerRecall } from '../producer-recall.ts';

let disk: FakeDisk;
let clock: FakeClock;
let state: ProducerRecall;

beforeEach(() => {
  disk = new FakeDisk();
});

function open(settings: Partial<DiskLogSettings> = {}): Promise<DiskLog> {
  clock = new FakeClock();
  state = new ProducerRecall();
  return openDiskLog({ disk, clock, state, settings: { ...KEEP_ALL, ...settings }, firstOffset: 0 });
}

function append(log: DiskLog, baseSequence: number): void {
  const batch = batchOf(1, { producerId: 7, producerEpoch: 0, baseSequence });
  stampBatch(batch, log.logEnd, 1);
  const header = readBatchHeader(batch);
  log.append(batch);
  state.replay(header);
}

it('what a failed sync left is written again, although a later sync of it succeeds', async () => {
  const log = await open({ flush: 'interval' });
  log.append(stampedBatch(0, 10));
  await turns();
  disk.fail({ code: 'EIO', kinds: ['sync'], times: 1 });
  // Two are under way: the one of the flush, and the one before a snapshot.
  clock.advance(1000);
  log.enforceRetention();
  await turns();
  expect(log.failure).toMatchObject({ code: 'STORAGE_FAILED' });
  clock.advance(20_000);
  await turns(50);
  expect(log.failure).toBeUndefined();
  clock.advance(20_000);
  await turns(50);
  for (let seed = 0; seed < 50; seed++) {
    const after = disk.crash(new SeededRandom(seed));
    const back = await openDiskLog({
      disk: after,
      clock: new FakeClock(),
      state: new ProducerRecall(),
      settings: KEEP_ALL,
      firstOffset: 0,
    });
    expect((await readAll(back)).length, `seed ${seed}`).toBe(1);
  }
});

it('a producer’s batch whose write failed is not remembered, however long the fault lasts before the end', async () => {
  const log = await open();
  append(log, 0);
  await turns();
  disk.fail({ code: 'EIO', kinds: ['write'], path: /\.log$/ });
  append(log, 1);
  await turns();
  expect(log.failure).toMatchObject({ code: 'STORAGE_FAILED' });
  for (let n = 0; n < 5; n++) {
    clock.advance(2000);
    log.enforceRetention();
    await turns();
  }
  disk = disk.crash(new SeededRandom(1));
  const back = await open();
  expect(back.logEnd).toBe(1);
  expect([...state.producers]).toEqual([[7, { sequence: 0, offset: 0 }]]);
});

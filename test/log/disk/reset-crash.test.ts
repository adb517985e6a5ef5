/** A log that is made to begin anew, ended at every one of the system calls that takes, and failing at each. */
import { describe, expect, it } from 'vitest';
import type { SluiceError } from '../../../src/kernel/errors.ts';
import type { DiskLog } from '../../../src/log/disk/disk-log.ts';
import { stampedBatch } from '../../support/batch.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeDisk } from '../../support/fake-disk.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { turns } from '../../support/turns.ts';
import { readAll } from '../array-log.ts';
import { durable } from '../partition-log-contract.ts';
import { KEEP_ALL, openDiskLog } from './open-disk-log.ts';
import { ProducerRecall } from '../producer-recall.ts';

/** Where segments begin, between them, behind all and before all. */
const OFFSETS = [0, 6, 7, 23, 1000];

let clock: FakeClock;

function open(disk: FakeDisk): Promise<DiskLog> {
  clock = new FakeClock();
  return openDiskLog({ disk, clock, state: new ProducerRecall(), settings: KEEP_ALL, firstOffset: 0 });
}

/** A log of several segments, snapshots, and a file that says that there are holes. */
async function filled(): Promise<{ readonly disk: FakeDisk; readonly log: DiskLog }> {
  const disk = new FakeDisk();
  const log = await open(disk);
  for (let n = 0; n < 20; n++) {
    log.append(stampedBatch(log.logEnd + (n === 10 ? 3 : 0), [{ value: 'x'.repeat(1000) }]));
    if (n % 7 === 0) await durable(log);
  }
  await durable(log);
  clock.advance(2000);
  log.enforceRetention();
  await settle(disk);
  return { disk, log };
}

async function settle(disk: FakeDisk): Promise<void> {
  for (let calls = -1; calls !== disk.calls.length;) {
    calls = disk.calls.length;
    await turns(3);
  }
}

async function whatIsIn(log: DiskLog): Promise<string> {
  const batches = await readAll(log);
  return `${log.logStart}–${log.logEnd}: ${Buffer.concat(batches).toString('base64')}`;
}

/** @returns how many system calls it takes to begin anew */
async function callsOf(offset: number): Promise<number> {
  const { disk, log } = await filled();
  const before = disk.calls.length;
  await log.reset(offset);
  return disk.calls.length - before;
}

describe.each(OFFSETS)('a disk log that begins anew at %i', (offset) => {
  it('is what it was, or empty, after an end at any system call', async () => {
    const { log: untouched } = await filled();
    const [old, empty] = [await whatIsIn(untouched), `${offset}–${offset}: `];
    const total = await callsOf(offset);
    const seen = new Set<string>();
    for (let call = 0; call <= total; call++) {
      for (let seed = 0; seed < 4; seed++) {
        const { disk, log } = await filled();
        disk.stopAt(disk.calls.length + call);
        await Promise.race([log.reset(offset), disk.stopped]);
        const after = seed === 0 ? disk.kill() : disk.crash(new SeededRandom(seed));
        const back = await open(after);
        const found = await whatIsIn(back);
        expect([old, empty], `call ${call}, seed ${seed}`).toContain(found);
        if (call === total) expect(found).toBe(empty);
        seen.add(found);
        // And it goes on from there, also over the next end.
        back.append(stampedBatch(back.logEnd, 1));
        await durable(back);
        expect((await open(after.crash(new SeededRandom(seed)))).logEnd).toBe(back.logEnd);
      }
    }
    expect(seen.size).toBe(2);
  });

  it('is empty when it has been got over a call that failed, and takes batches again', async () => {
    const total = await callsOf(offset);
    for (let call = 0; call < total; call++) {
      const { disk, log } = await filled();
      const undo = disk.fail({ code: 'EIO', after: call });
      const begun = log.reset(offset).then(() => 'begun anew');
      const error = await begun.catch((cause: unknown) => (cause as SluiceError).code);
      expect(['STORAGE_FAILED', 'begun anew'], `call ${call}`).toContain(error);
      // Closing never fails.
      if (error === 'begun anew') expect(call).toBeGreaterThanOrEqual(total - 3);
      if (error === 'begun anew') continue;
      expect([log.logStart, log.logEnd, log.durableEnd]).toEqual([offset, offset, offset]);
      expect(() => {
        log.append(stampedBatch(offset, 1));
      }).toThrow(expect.objectContaining({ code: 'STORAGE_FAILED' }) as Error);
      undo();
      for (let n = 0; n < 3 && log.failure; n++) {
        clock.advance(12_000);
        await settle(disk);
      }
      expect(log.failure, `call ${call}`).toBeUndefined();
      log.append(stampedBatch(offset, 1));
      await durable(log);
      const back = await open(disk.crash(new SeededRandom(call)));
      expect([back.logStart, back.logEnd]).toEqual([offset, offset + 1]);
    }
  });
});

/** What a disk log does when system calls fail, or take their time, while it is in the middle of something. */
import { describe, expect, it } from 'vitest';
import { batchBaseOffset } from '../../../src/wire/record-batch.ts';
import { turns } from '../../support/turns.ts';
import { LogStage, pathOf, segmentOf } from './log-stage.ts';

const MiB = 1024 * 1024;

describe('a disk log that is cut off', () => {
  it('does not wait for a snapshot that waits for it', async () => {
    const stage = await LogStage.open({ flush: 'interval', segmentBytes: 64 * MiB });
    await stage.fill(10);
    stage.log.deleteBefore(1);
    await turns(20);
    const release = stage.disk.hold(['write']);
    stage.appendSome(1);
    stage.log.deleteBefore(2);
    await turns(5);
    const cut = Promise.resolve(stage.log.truncate(5));
    await turns(5);
    release();
    let done = false;
    void cut.then(() => (done = true));
    await turns(50);
    expect(done).toBe(true);
    expect(stage.log.logEnd).toBe(5);
    // Nor is that one written afterwards, about what is gone.
    await stage.reopen();
    expect(stage.log.logEnd).toBe(5);
  });

  it('is as long as it should be when that failed halfway and healed', async () => {
    const stage = await LogStage.open({ segmentBytes: 64 * MiB });
    await stage.fill(10);
    stage.disk.fail({ code: 'EIO', kinds: ['sync'], path: /\.log$/, times: 1 });
    await expect(stage.log.truncate(5)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    await stage.heal();
    await stage.fill(3);
    expect(stage.log.logEnd).toBe(8);
    for (let offset = 0; offset < 8; offset++) {
      expect(batchBaseOffset((await stage.log.read(offset, 8, 1))[0]!)).toBe(offset);
    }
    await stage.reopen();
    expect(stage.log.logEnd).toBe(8);
  });
});

describe('a disk log whose sync failed', () => {
  it('has only what can still be read, and says what is gone', async () => {
    const stage = await LogStage.open({ flush: 'interval', segmentBytes: 64 * MiB });
    await stage.fill(5);
    stage.clock.advance(2000);
    await turns(20);
    await stage.fill(5);
    const losses: string[] = [];
    const { log } = stage;
    log.onLoss = (end) => losses.push(`${end} of ${log.logStart} to ${log.logEnd}, ${log.failure?.code}`);
    stage.disk.fail({ code: 'EIO', kinds: ['sync'], path: /\.log$/, times: 1 });
    stage.clock.advance(2000);
    await turns(20);
    stage.disk.dropCaches();
    await stage.heal();
    // At once, before anything can be appended.
    expect(losses).toEqual(['5 of 0 to 5, STORAGE_FAILED']);
    expect(stage.events.filter((event) => event.startsWith('corrupt'))).toHaveLength(1);
    const { logEnd } = stage.log;
    expect(logEnd).toBeGreaterThanOrEqual(5);
    for (let offset = 0; offset < logEnd; offset++) {
      expect(batchBaseOffset((await stage.log.read(offset, logEnd, 1))[0]!)).toBe(offset);
    }
  });
});

describe('retention', () => {
  it('does not mind a file that somebody else has removed', async () => {
    const stage = await LogStage.open();
    await stage.fill(30);
    stage.remove(segmentOf(0));
    stage.log.deleteBefore(20);
    await turns(20);
    expect(stage.events).toEqual([]);
    expect(stage.names('log')[0]).toBe(segmentOf(18));
  });

  it('removes later what could not be removed', async () => {
    const stage = await LogStage.open();
    await stage.fill(30);
    const mend = stage.disk.fail({ code: 'EACCES', kinds: ['removeFile'], path: /\.log$/ });
    stage.log.deleteBefore(20);
    await turns(20);
    mend();
    await stage.heal();
    stage.log.enforceRetention();
    await turns(20);
    expect(stage.names('log')[0]).toBe(segmentOf(18));
    expect(stage.disk.peek(pathOf(segmentOf(0)))).toBeUndefined();
  });
});

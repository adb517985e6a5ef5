/** When what was deleted cannot come back any more. */
import { describe, expect, it } from 'vitest';
import type { ErrorCode, SluiceError } from '../../../src/kernel/errors.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { turns } from '../../support/turns.ts';
import { LogStage } from './log-stage.ts';

async function deleted(settings = {}): Promise<LogStage> {
  const stage = await LogStage.open({ segmentBytes: 100_000, ...settings });
  await stage.fill(20);
  return stage;
}

const coded = (code: ErrorCode): Error => expect.objectContaining({ code }) as Error;

describe('the start of a disk log', () => {
  it.each(['always', 'interval', 'os'] as const)(
    'does not fall back once it is said to be durable, with flush %s',
    async (flush) => {
      for (let seed = 0; seed < 20; seed++) {
        const stage = await deleted({ flush });
        stage.log.deleteBefore(7);
        await stage.log.whenStartDurable(7);
        stage.disk = stage.disk.crash(new SeededRandom(seed));
        await stage.reopen('killed');
        expect(stage.log.logStart).toBe(7);
      }
    },
  );

  it('is durable at once where it was before', async () => {
    const { log, disk } = await deleted();
    log.deleteBefore(7);
    await log.whenStartDurable(7);
    const calls = disk.calls.length;
    await log.whenStartDurable(7);
    await log.whenStartDurable(3);
    expect(disk.calls.length).toBe(calls);
  });

  it('may fall back before that', async () => {
    const stage = await deleted();
    stage.disk.hold();
    stage.log.deleteBefore(7);
    let isDurable = false;
    void stage.log.whenStartDurable(7).then(() => (isDurable = true));
    await turns(50);
    expect(isDurable).toBe(false);
    await stage.reopen('powerLost');
    expect(stage.log.logStart).toBe(0);
  });

  it('becomes durable while batches come without a pause', async () => {
    const stage = await deleted();
    stage.log.deleteBefore(7);
    const seen = { isDurable: false };
    void stage.log.whenStartDurable(7).then(() => (seen.isDurable = true));
    for (let n = 0; n < 60 && !seen.isDurable; n++) {
      stage.appendSome(1);
      await turns(1);
    }
    expect(seen.isDurable).toBe(true);
  });

  it('is said not to be durable when that cannot be written', async () => {
    const { log, disk } = await deleted();
    const mend = disk.fail({ code: 'ENOSPC', path: /\.snapshot/ });
    log.deleteBefore(7);
    await expect(log.whenStartDurable(7)).rejects.toThrow(coded('STORAGE_FULL'));
    expect([log.logStart, log.failure]).toEqual([7, undefined]);
    mend();
    log.deleteBefore(8);
    await log.whenStartDurable(8);
  });

  it('is tried again as soon as somebody asks again', async () => {
    const { log, disk } = await deleted();
    const mend = disk.fail({ code: 'ENOSPC', path: /\.snapshot/ });
    log.deleteBefore(7);
    await expect(log.whenStartDurable(7)).rejects.toThrow(coded('STORAGE_FULL'));
    mend();
    await log.whenStartDurable(7);
  });

  it.each([
    ['is cut off', (stage: LogStage) => stage.log.truncate(10)],
    ['begins anew', (stage: LogStage) => stage.log.reset(10)],
  ] as const)('is said to be durable or not, whenever the log %s', async (_what, take) => {
    for (let wait = 0; wait < 30; wait++) {
      const stage = await deleted();
      const release = stage.disk.hold();
      stage.appendSome(1);
      if (wait % 2 === 0) await turns(2);
      stage.log.deleteBefore(7);
      const waiting = stage.log.whenStartDurable(7).then(() => 'durable');
      if (wait % 3 === 0) release();
      await turns(wait >> 1);
      const taking = take(stage);
      release();
      const told = await waiting.catch((error: unknown) => (error as SluiceError).code);
      await taking;
      expect(['durable', 'UNAVAILABLE'], `after ${wait} turns`).toContain(told);
    }
  });

  it('is durable, too, after the log was cut off behind it', async () => {
    const stage = await deleted();
    stage.log.deleteBefore(7);
    await stage.log.whenStartDurable(7);
    await stage.log.truncate(12);
    await stage.log.whenStartDurable(7);
    await stage.reopen('powerLost');
    expect([stage.log.logStart, stage.log.logEnd]).toEqual([7, 12]);
  });

  it('becomes durable with an orderly end', async () => {
    const { log, events } = await deleted();
    log.deleteBefore(7);
    const waiting = log.whenStartDurable(7);
    await Promise.all([log.close(), waiting]);
    expect(events).toEqual([]);
  });
});

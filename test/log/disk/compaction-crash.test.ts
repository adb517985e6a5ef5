/** A log that is compacted twice, ended at every one of its system calls. */
import { describe, expect, it } from 'vitest';
import type { DiskLogSettings } from '../../../src/log/disk/disk-log.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import type { Stop } from './disk-history.ts';
import { DiskHistory } from './disk-history.ts';
import { KEEP_ALL } from './open-disk-log.ts';

const SETTINGS: DiskLogSettings = { ...KEEP_ALL, cleanup: 'compact', segmentBytes: 2000 };
const SEED = 3;
const NEVER: Stop = { life: Infinity, call: 0, bytes: 0 };
const COMEBACKS = ['killed', 'powerLost'] as const;

/** The second time tombstones have to go, and segments to be merged. */
const SCRIPT: readonly ((history: DiskHistory) => Promise<void>)[] = [
  append(10),
  (history) => history.pass(2000),
  compact,
  append(14),
  (history) => history.pass(5000),
  compact,
  append(2),
];

function append(batches: number) {
  return async (history: DiskHistory): Promise<void> => {
    for (let n = 0; n < batches && !history.disk.isStopped; n++) {
      history.append(600);
      if (n % 3 === 2) await history.settle();
    }
    await history.settle();
  };
}

async function compact(history: DiskHistory): Promise<void> {
  history.log.enforceRetention();
  await history.settle();
}

async function run(stop: Stop): Promise<DiskHistory> {
  const history = await DiskHistory.begin(new SeededRandom(SEED), SETTINGS, stop);
  for (const step of SCRIPT) {
    if (history.disk.isStopped || history.life > stop.life) break;
    await step(history);
  }
  return history;
}

describe('a disk log that ends while it is compacted', () => {
  it('is compacted twice in what follows', async () => {
    const calls = (await run(NEVER)).calls[0]!;
    const count = (kind: string, end: string): number =>
      calls.filter((call) => call.kind === kind && call.path.endsWith(end)).length;
    expect(count('rename', '/compaction.new')).toBe(4);
    expect(count('rename', '.log.new'), 'rewritten segments').toBeGreaterThan(2);
    expect(count('removeFile', '.log'), 'merged segments').toBeGreaterThan(2);
  });

  it('comes back at any system call with all that it promised, and is compacted on', async () => {
    const calls = (await run(NEVER)).calls[0]!;
    for (let call = 0; call <= calls.length; call++) {
      for (const [seed, comeback] of COMEBACKS.entries()) {
        const bytes = (calls[call]?.bytes ?? 0) >>> 1;
        try {
          const history = await run({ life: 1, call, bytes });
          await history.crash(comeback, new SeededRandom(seed));
          await history.pass(2000);
          await compact(history);
          await history.crash();
        } catch (error) {
          const where = `call ${call} after ${bytes} bytes, ${comeback} with seed ${seed}`;
          throw new Error(`${where}: ${(error as Error).message}`, { cause: error });
        }
      }
    }
  }, 240_000);
});

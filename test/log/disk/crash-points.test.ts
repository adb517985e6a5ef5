/** One history of a disk log, ended at every one of its system calls, and at every byte of a write. */
import { describe, expect, it } from 'vitest';
import type { DiskLogSettings } from '../../../src/log/disk/disk-log-options.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import type { Stop } from './disk-history.ts';
import { DiskHistory } from './disk-history.ts';
import { KEEP_ALL } from './open-disk-log.ts';

const SETTINGS: DiskLogSettings = { ...KEEP_ALL, retentionBytes: 12_000 };
const SEED = 7;
const NEVER: Stop = { life: Infinity, call: 0, bytes: 0 };
const COMEBACKS = ['killed', 'powerLost', 'powerLost'] as const;

/** Fills some segments, drops some, stops cleanly, is opened again, and is appended to. */
const SCRIPT: readonly ((history: DiskHistory) => Promise<void> | void)[] = [
  append(3),
  append(12),
  (history) => history.pass(2000),
  append(20),
  (history) => {
    history.deleteBefore(0.4);
  },
  (history) => history.settle(),
  append(12),
  (history) => {
    history.log.enforceRetention();
  },
  (history) => history.settle(),
  (history) => history.restart(),
  append(2, 100),
];

function append(batches: number, maxValueBytes = 600) {
  return async (history: DiskHistory): Promise<void> => {
    for (let n = 0; n < batches; n++) {
      history.append(maxValueBytes);
      if (n % 3 === 2) await history.settle();
      if (history.disk.isStopped) return;
    }
    await history.settle();
  };
}

/** Runs the script as far as it comes. */
async function run(stop: Stop): Promise<DiskHistory> {
  const history = await DiskHistory.begin(new SeededRandom(SEED), SETTINGS, stop);
  for (const step of SCRIPT) {
    if (history.disk.isStopped || history.life > stop.life) break;
    await step(history);
  }
  return history;
}

async function crashAt(stop: Stop, comeback: (typeof COMEBACKS)[number], seed: number): Promise<void> {
  try {
    const history = await run(stop);
    await history.crash(comeback, new SeededRandom(seed));
    for (let n = 0; n < 3; n++) history.append();
    await history.settle();
    await history.readAll();
    await history.crash();
  } catch (error) {
    const { life, call, bytes } = stop;
    const where = `life ${life}, call ${call} after ${bytes} bytes, ${comeback} with seed ${seed}`;
    throw new Error(`${where}: ${(error as Error).message}`, { cause: error });
  }
}

describe('a disk log that ends', () => {
  it('at any system call comes back with all that it promised', async () => {
    const { calls } = await run(NEVER);
    expect(calls).toHaveLength(2);
    for (const [n, list] of calls.entries()) {
      for (let call = 0; call <= list.length; call++) {
        const half = (list[call]?.bytes ?? 0) >>> 1;
        for (const [seed, comeback] of COMEBACKS.entries()) {
          await crashAt({ life: n + 1, call, bytes: half }, comeback, seed);
        }
      }
    }
  }, 120_000);

  it('at any byte of its last write comes back with all that it promised', async () => {
    const calls = (await run(NEVER)).calls[1]!;
    const call = calls.findLastIndex(({ kind }) => kind === 'write');
    const total = calls[call]!.bytes;
    expect(total).toBeGreaterThan(60);
    for (let bytes = 0; bytes <= total; bytes++) {
      await crashAt({ life: 2, call, bytes }, 'killed', bytes);
      if (bytes % 32 === 0) await crashAt({ life: 2, call, bytes }, 'powerLost', bytes);
    }
  }, 120_000);
});

/**
 * Logs on a disk that is lost again and again, against an array.
 *
 * `SEED=…` replays one history; `HISTORIES=…` runs so many of each kind, for long runs.
 */
import { describe, it } from 'vitest';
import type { DiskLogSettings } from '../../../src/log/disk/disk-log-options.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { DiskHistory } from './disk-history.ts';
import { KEEP_ALL } from './open-disk-log.ts';

const HISTORIES = Number(process.env['HISTORIES'] ?? 10);
const STEPS = 120;
const FIRST_SEED = Number(process.env['SEED'] ?? 1);
const SEEDS = process.env['SEED'] === undefined ? HISTORIES : 1;
const TIMEOUT_MS = 20_000 + HISTORIES * 1000;

type Step = (history: DiskHistory, random: SeededRandom) => unknown;

const appendSome: Step = async (history, random) => {
  for (let n = random.pick([1, 1, 3, 10]); n > 0; n--) history.append();
  if (random.chance(0.5)) await history.settle();
};
const crashSoon: Step = async (history, random) => {
  history.disk.stopAt(history.disk.calls.length + random.below(20), random.below(4000));
  for (let n = 0; n < 12 && !history.disk.isStopped; n++) {
    await appendSome(history, random);
    await history.settle();
  }
  await history.crash();
};

/** What happens in a history, and how often. */
const LIFE: readonly (readonly [weight: number, step: Step])[] = [
  [30, appendSome],
  [12, (history) => history.read()],
  [4, (history) => history.readAll()],
  [6, (history) => history.settle()],
  [6, (history, random) => history.pass(random.pick([1, 100, 1100, 5000]))],
  [2, (history) => history.restart()],
  [2, (history) => history.crash()],
  [6, crashSoon],
];

const DROPPING: typeof LIFE = [
  ...LIFE,
  [4, (history) => history.log.enforceRetention()],
  [2, (history, random) => history.deleteBefore(random.fraction())],
];
const COMPACTING: typeof LIFE = [
  ...LIFE,
  [8, (history) => history.log.enforceRetention()],
  [8, (history) => history.pass(2000)],
];
const TRUNCATING: typeof LIFE = [
  ...LIFE,
  [4, (history, random) => history.truncate(random.fraction())],
  [
    2,
    async (history, random) => {
      history.disk.stopAt(history.disk.calls.length + random.below(12));
      await history.truncate(random.fraction());
      await history.crash();
    },
  ],
];
const BEGINNING: typeof LIFE = [
  ...LIFE,
  [2, (history) => history.reset()],
  [
    4,
    async (history, random) => {
      history.disk.stopAt(history.disk.calls.length + random.below(20));
      await history.reset();
      await history.crash();
    },
  ],
];
const HOLED: typeof LIFE = [...LIFE, [20, (history, random) => history.append(300, 1 + random.below(100))]];
const FAILING: typeof LIFE = [
  ...LIFE,
  [8, (history, random) => history.fault(random)],
  [4, (history) => history.pass(12_000)],
  // What the broker does now and then, whether the disk is well or not.
  [3, (history) => history.pass(1100).then(() => history.log.enforceRetention())],
];

async function live(seed: number, settings: DiskLogSettings, life: typeof LIFE): Promise<void> {
  const random = new SeededRandom(seed);
  const history = await DiskHistory.begin(random, settings);
  const total = life.reduce((sum, [weight]) => sum + weight, 0);
  for (let n = 0; n < STEPS; n++) {
    let at = random.below(total);
    const [, step] = life.find(([weight]) => (at -= weight) < 0)!;
    await step(history, random);
    if (history.disk.isStopped) await history.crash();
  }
  await history.heal();
  await history.settle();
  await history.readAll();
  await history.restart();
}

function histories(name: string, settings: Partial<DiskLogSettings>, life: typeof LIFE): void {
  it(
    name,
    async () => {
      for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
        try {
          await live(seed, { ...KEEP_ALL, ...settings }, life);
        } catch (error) {
          throw new Error(`SEED=${seed}: ${(error as Error).message}`, { cause: error });
        }
      }
    },
    TIMEOUT_MS,
  );
}

describe('a disk log has every batch that it promised, once and in order,', () => {
  histories('after crashes at any system call', {}, LIFE);
  histories('with segments of many index entries', { segmentBytes: 128 * 1024 }, LIFE);
  histories('with retention by bytes', { retentionBytes: 20_000 }, DROPPING);
  histories('with retention by age and records', { retentionMs: 8000, retentionRecords: 200 }, DROPPING);
  histories('while it is compacted', { cleanup: 'compact' }, COMPACTING);
  histories(
    'while it is compacted, and drops what is old',
    { cleanup: 'compact,delete', retentionBytes: 20_000 },
    [...COMPACTING, ...DROPPING.slice(LIFE.length)],
  );
  histories('while it is compacted on a disk that fails', { cleanup: 'compact' }, [
    ...COMPACTING,
    ...FAILING.slice(LIFE.length),
  ]);
  histories('when it is truncated', {}, TRUNCATING);
  histories('when it begins anew now and then', {}, [...BEGINNING, ...TRUNCATING.slice(LIFE.length)]);
  histories(
    'when it begins anew, drops what is old, and flushes now and then',
    {
      ...{ flush: 'interval', retentionBytes: 20_000 },
    },
    [...BEGINNING, ...DROPPING.slice(LIFE.length)],
  );
  histories('with holes that a leader’s compaction has left', {}, [
    ...HOLED,
    ...TRUNCATING.slice(LIFE.length),
    ...FAILING.slice(LIFE.length),
  ]);
  histories('with holes, while it is compacted itself, and when it begins anew', { cleanup: 'compact' }, [
    ...HOLED,
    ...COMPACTING.slice(LIFE.length),
    ...BEGINNING.slice(LIFE.length),
  ]);
  histories('when the disk fails and is well again', {}, FAILING);
  histories('up to the last flush, when it flushes now and then', { flush: 'interval' }, FAILING);
  histories('up to the last roll, when the system flushes', { flush: 'os' }, LIFE);
});

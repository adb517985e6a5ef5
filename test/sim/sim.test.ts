/**
 * Whole clusters under faults, one seed after the other until the time is over; each has to keep every promise.
 *
 * `SEED=n` replays one with all that happens; `SIM_MS` is the time, milliseconds; `npm run sim` runs fresh seeds.
 */
import { describe, expect, it } from 'vitest';
import { replay } from './replay.ts';
import { simulate } from './simulation.ts';

const { SEED, SIM_MS } = process.env;
const BUDGET_MS = Number(SIM_MS ?? 45_000);

describe('a cluster under faults', () => {
  it('keeps its promises, whatever the seed', { timeout: BUDGET_MS + 30_000 }, async () => {
    if (SEED !== undefined) {
      expect((await replay({ seed: Number(SEED) })).failure).toBeUndefined();
      return;
    }
    const endMs = performance.now() + BUDGET_MS;
    let acknowledged = 0;
    let seed = 1;
    for (; performance.now() < endMs; seed++) {
      const result = await simulate({ seed });
      acknowledged += result.acknowledged;
      if (result.failure) await replay({ seed });
      expect(result.failure, `SEED=${seed} npm run sim`).toBeUndefined();
      await turnOfTheEventLoop();
    }
    console.log(`${seed - 1} seeds, ${acknowledged} batches acknowledged`);
    expect(acknowledged).toBeGreaterThan(seed);
  });

  it('does the same each time for the same seed', async () => {
    const results = [await simulate({ seed: 7 }), await simulate({ seed: 7 })];
    expect(results[1]).toEqual(results[0]);
  });
});

/** So that the test runner is answered meanwhile. */
function turnOfTheEventLoop(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

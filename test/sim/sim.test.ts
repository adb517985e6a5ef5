/**
 * Whole clusters under faults; each has to keep every promise. The same seeds everywhere and always, however fast a machine is:
 * `npm run sim` runs fresh ones, `SEED=n npm run sim` one of them with all that happens.
 */
import { describe, expect, it } from 'vitest';
import { replay } from './replay.ts';
import { REPLICATION } from './scenarios.ts';
import { simulate } from './simulation.ts';

/** From 1 on: about half a minute on two slow cores. */
const SEEDS = 800;
const TIMEOUT_MS = 600_000;

describe('a cluster under faults', () => {
  it(`keeps its promises, whatever of ${SEEDS} seeds`, { timeout: TIMEOUT_MS }, async () => {
    let acknowledged = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const result = await simulate({ seed });
      acknowledged += result.acknowledged;
      if (result.failure) await replay(REPLICATION, { seed });
      expect(result.failure, `SEED=${seed} npm run sim -- --scenario replication`).toBeUndefined();
      await turnOfTheEventLoop();
    }
    // A cluster that does nothing breaks nothing.
    expect(acknowledged).toBeGreaterThan(50 * SEEDS);
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

/**
 * Clusters with consumer groups and queues under faults; each has to keep every promise. The same seeds everywhere and always:
 * `npm run sim -- --scenario groups` runs fresh ones, `SEED=n npm run sim -- --scenario groups` one of them with all that happens.
 */
import { describe, expect, it } from 'vitest';
import { replay } from '../replay.ts';
import { GROUPS } from '../scenarios.ts';
import { simulateGroups } from './group-simulation.ts';

/** From 1 on: a few seconds. */
const SEEDS = 24;
const TIMEOUT_MS = 600_000;

describe('groups and queues of a cluster under faults', () => {
  it(`keep their promises, whatever of ${SEEDS} seeds`, { timeout: TIMEOUT_MS }, async () => {
    const sums = { commits: 0, leases: 0, redeliveries: 0, deadLetters: 0 };
    for (let seed = 1; seed <= SEEDS; seed++) {
      const result = await simulateGroups({ seed });
      if (result.failure) await replay(GROUPS, { seed });
      expect(result.failure, `SEED=${seed} npm run sim -- --scenario groups`).toBeUndefined();
      for (const what of ['commits', 'leases', 'redeliveries', 'deadLetters'] as const)
        sums[what] += result[what];
    }
    // A cluster that does nothing breaks nothing.
    expect(sums.commits).toBeGreaterThan(20 * SEEDS);
    expect(sums.leases).toBeGreaterThan(50 * SEEDS);
    expect(sums.redeliveries).toBeGreaterThan(10 * SEEDS);
    expect(sums.deadLetters).toBeGreaterThan(2 * SEEDS);
  });

  it('do the same each time for the same seed', { timeout: TIMEOUT_MS }, async () => {
    const results = [await simulateGroups({ seed: 7 }), await simulateGroups({ seed: 7 })];
    expect(results[1]).toEqual(results[0]);
  });
});

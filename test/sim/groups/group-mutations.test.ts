/** Bugs put into the coordinators by hand: a simulator that does not find them proves nothing. */
import { describe, expect, it } from 'vitest';
import { Violation } from '../violation.ts';
import { GROUP_MUTATIONS } from './group-mutations.ts';
import { simulateGroups } from './group-simulation.ts';

const SEEDS = 40;

describe('the simulator of groups and queues finds', () => {
  it.each(GROUP_MUTATIONS)('that $name', { timeout: 120_000 }, async (mutation) => {
    const undo = mutation.apply();
    let found: Error | undefined;
    try {
      for (let seed = 1; seed <= SEEDS && !isFound(found); seed++) {
        found = (await simulateGroups({ seed, ...mutation.shows })).failure;
      }
    } finally {
      undo();
    }
    expect(isFound(found), String(found)).toBe(true);
  });
});

/** What only comes to no rest shows nothing of a promise. */
function isFound(found: Error | undefined): boolean {
  return found instanceof Violation && found.property !== 'liveness';
}

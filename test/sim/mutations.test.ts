/** Bugs put in by hand: a simulator that does not find them proves nothing. */
import { describe, expect, it } from 'vitest';
import { MUTATIONS } from './mutations.ts';
import { simulate } from './simulation.ts';
import { Violation } from './violation.ts';

const SEEDS = 60;

describe('the simulator finds', () => {
  it.each(MUTATIONS)('that $name', { timeout: 60_000 }, async (mutation) => {
    const undo = mutation.apply();
    let found: Error | undefined;
    try {
      for (let seed = 1; seed <= SEEDS && !isFound(found); seed++) {
        found = (await simulate({ seed, ...mutation.shows })).failure;
      }
    } finally {
      undo();
    }
    expect(isFound(found), String(found)).toBe(true);
  });
});

/** A cluster that only comes to no rest shows nothing of a promise. */
function isFound(found: Error | undefined): boolean {
  return found instanceof Violation && found.property !== 'liveness';
}

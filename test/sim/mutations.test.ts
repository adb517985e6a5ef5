/** Bugs put in by hand: a simulator that does not find them proves nothing. */
import { describe, it } from 'vitest';
import { expectFound } from './mutation-hunt.ts';
import { MUTATIONS } from './mutations.ts';
import { simulate } from './simulation.ts';

const SEEDS = 60;

describe('the simulator finds', () => {
  it.each(MUTATIONS)('that $name', { timeout: 60_000 }, (mutation) =>
    expectFound(mutation, SEEDS, async (seed) => (await simulate({ seed, ...mutation.shows })).failure),
  );
});

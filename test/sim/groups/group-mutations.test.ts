/** Bugs put into the coordinators by hand: a simulator that does not find them proves nothing. */
import { describe, it } from 'vitest';
import { expectFound } from '../mutation-hunt.ts';
import { GROUP_MUTATIONS } from './group-mutations.ts';
import { simulateGroups } from './group-simulation.ts';

const SEEDS = 40;

describe('the simulator of groups and queues finds', () => {
  it.each(GROUP_MUTATIONS)('that $name', { timeout: 120_000 }, (mutation) =>
    expectFound(mutation, SEEDS, async (seed) => (await simulateGroups({ seed, ...mutation.shows })).failure),
  );
});

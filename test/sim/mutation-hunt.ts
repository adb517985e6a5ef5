import { expect } from 'vitest';
import { Violation } from './violation.ts';

/** Puts a bug in, and expects one of the runs to break a promise because of it. @param run gives what was broken @param seeds runs at most */
export async function expectFound(
  mutation: { apply(): () => void },
  seeds: number,
  run: (seed: number) => Promise<Error | undefined>,
): Promise<void> {
  const undo = mutation.apply();
  let found: Error | undefined;
  try {
    for (let seed = 1; seed <= seeds && !isFound(found); seed++) found = await run(seed);
  } finally {
    undo();
  }
  expect(isFound(found), String(found)).toBe(true);
}

/** What only comes to no rest shows nothing of a promise. */
function isFound(found: Error | undefined): boolean {
  return found instanceof Violation && found.property !== 'liveness';
}

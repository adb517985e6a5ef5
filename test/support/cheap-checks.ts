/**
 * Checks of what one test looks at many thousand times. `expect` notes each call with the runner, which costs more than most of what
 * is checked; here it is called only where it is going to fail, so that it says why.
 */
import { expect } from 'vitest';

export function checkAtLeast(value: number, least: number, what: string): void {
  if (!(value >= least)) expect(value, what).toBeGreaterThanOrEqual(least);
}

export function checkAtMost(value: number, most: number, what: string): void {
  if (!(value <= most)) expect(value, what).toBeLessThanOrEqual(most);
}

export function checkSame(value: unknown, wanted: unknown, what: string): void {
  if (!Object.is(value, wanted)) expect(value, what).toBe(wanted);
}

/** Compares two lists element by element. */
export function checkSameList(values: readonly unknown[], wanted: readonly unknown[], what: string): void {
  const isSame = values.length === wanted.length && values.every((value, n) => Object.is(value, wanted[n]));
  if (!isSame) expect(values, what).toEqual(wanted);
}

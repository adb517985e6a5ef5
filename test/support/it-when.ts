import { it } from 'vitest';

/** Declares a test only where it applies. One that does not apply is not a skipped one. */
export function itWhen(applies: boolean): (name: string, test: () => Promise<void> | void) => void {
  return applies ? it : () => undefined;
}

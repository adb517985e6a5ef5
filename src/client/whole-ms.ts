import { SluiceError } from '../kernel/errors.ts';

/** The longest duration that a message can carry, milliseconds: an uint32. */
const MAX_MS = 0xffff_ffff;

/**
 * A duration as messages carry it: whole milliseconds, a fraction rounded up, cut at 49 days.
 * @param name of the option, for the error
 * @throws INVALID_ARGUMENT when it is negative or no number
 */
export function wholeMs(name: string, durationMs: number): number {
  if (durationMs >= 0) return Math.min(Math.ceil(durationMs), MAX_MS);
  throw new SluiceError('INVALID_ARGUMENT', `${name} ${durationMs} is no duration: use milliseconds from 0`);
}

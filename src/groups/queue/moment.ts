import type { Clock } from '../../kernel/clock.ts';
import type { Moment } from './queue-event.ts';

/** Both times of a clock, now. */
export function momentOf(clock: Clock): Moment {
  return { wallMs: clock.now(), steadyMs: clock.monotonicMs() };
}

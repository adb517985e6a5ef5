import type { Reason } from './plan-input.ts';
import { REASONS } from './plan-input.ts';

/** Counts since the process began, for metrics. */
export interface ControllerCounters {
  /** Times that this node was elected. */
  elections: number;
  plans: number;
  /** Milliseconds. */
  planningMs: number;
  /** States that were changed, by why. */
  readonly updates: Record<Reason, number>;
  /** Changes that somebody else was faster than. */
  conflicts: number;
  failures: number;
}

/** Counters at zero. */
export function newControllerCounters(): ControllerCounters {
  const updates = Object.fromEntries(REASONS.map((reason) => [reason, 0])) as Record<Reason, number>;
  return { elections: 0, plans: 0, planningMs: 0, updates, conflicts: 0, failures: 0 };
}

import type { ErrorCode } from '../../kernel/errors.ts';

const UNCLEAR: ReadonlySet<ErrorCode> = new Set([
  'TIMEOUT',
  'UNAVAILABLE',
  'CLOSED',
  'INTERNAL',
  'STORAGE_FAILED',
  // Of what did not fit the disk the beginning may be there, whole batches of it, and come back when the node starts anew.
  'STORAGE_FULL',
  'GAP',
  // Also the answer to what was stored but not confirmed before its leader went, or lost its replicas.
  'NOT_LEADER',
  'NOT_ENOUGH_REPLICAS',
]);

/** Whether nobody knows, after a publish was answered with `code`, if its batch was stored. */
export function leavesUnclear(code: ErrorCode): boolean {
  return UNCLEAR.has(code);
}

/** Whether `code` says that the broker's memory of a producer does not fit its batch. */
export function isAboutSequences(code: ErrorCode): boolean {
  return code === 'OUT_OF_ORDER_SEQUENCE' || code === 'UNKNOWN_PRODUCER' || code === 'PRODUCER_FENCED';
}

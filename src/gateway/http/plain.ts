import { ERRORS, errorCodeFromWire } from '../../kernel/errors.ts';
import type { GroupResult } from '../../gen/sluice/client/v1/groups_pb.ts';
import type { Fault } from '../../broker/views.ts';

/**
 * A message of the protocol as JSON has it: the names of its fields, 64-bit numbers as numbers. Messages carry no bytes and no choices here.
 *
 * @param value of messages, lists, texts and numbers
 */
export function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([name, each]) => !name.startsWith('$') && each !== undefined);
  return Object.fromEntries(entries.map(([name, each]) => [name, plain(each)]));
}

/** Why one part of a request was refused; undefined: it was not. */
export function faultOf({ errorCode, errorMessage }: GroupResult): Fault | undefined {
  return errorCode === 0 ? undefined : { code: errorCodeFromWire(errorCode), message: errorMessage };
}

/** The HTTP status of an answer of which parts were refused: that of the first. */
export function statusOf(faults: readonly (Fault | undefined)[]): number {
  const first = faults.find((fault) => fault !== undefined);
  return first ? ERRORS[first.code].http : 200;
}

import type { Start as WireStart } from '../gen/sluice/client/v1/subscription_pb.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import { ERRORS, SluiceError, errorCodeFromWire } from '../kernel/errors.ts';
import type { Start } from '../partition/reader.ts';

/** 0: no error. */
export function codeToWire(code: ErrorCode | undefined): number {
  return code === undefined ? 0 : ERRORS[code].wire;
}

/** As an optional field: nothing for 0; INTERNAL for a number that this version does not know. */
export function codeFromWire(wire: number): { error?: ErrorCode } {
  return wire === 0 ? {} : { error: errorCodeFromWire(wire) };
}

/** An error with its text, as fields of a message. */
export function errorToWire(error: SluiceError): { errorCode: number; errorMessage: string } {
  return { errorCode: error.wire, errorMessage: error.message };
}

/** @returns undefined: no error */
export function errorFromWire(fields: {
  readonly errorCode: number;
  readonly errorMessage: string;
}): SluiceError | undefined {
  if (fields.errorCode === 0) return undefined;
  return new SluiceError(errorCodeFromWire(fields.errorCode), fields.errorMessage);
}

/** A u64 as the number used everywhere inside. @throws PROTOCOL_ERROR above 2^53 − 1 */
export function toNumber(value: bigint): number {
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw new SluiceError('PROTOCOL_ERROR', `${value.toString()} is above 2^53 − 1`);
}

/** Where to begin, as a message. */
export function startToWire(start: Start): { at: WireStart['at'] } {
  switch (start.at) {
    case 'latest':
      return { at: { case: 'latest', value: true } };
    case 'earliest':
      return { at: { case: 'earliest', value: true } };
    case 'last-per-key':
      return { at: { case: 'lastPerKey', value: true } };
    case 'offset':
      return { at: { case: 'offset', value: BigInt(start.offset) } };
    case 'timestamp':
      return { at: { case: 'timestampMs', value: BigInt(Math.max(0, Math.trunc(start.timestampMs))) } };
  }
}

/** Nothing said is an error here: the other node always says it. @throws PROTOCOL_ERROR */
export function startFromWire(start: WireStart | undefined): Start {
  const at = start?.at;
  switch (at?.case) {
    case 'latest':
    case 'earliest':
      return { at: at.case };
    case 'offset':
      return { at: 'offset', offset: toNumber(at.value) };
    case 'timestampMs':
      return { at: 'timestamp', timestampMs: toNumber(at.value) };
    default:
      throw new SluiceError('PROTOCOL_ERROR', 'a request does not say from where');
  }
}

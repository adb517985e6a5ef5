import type { Start as WireStart } from '../gen/sluice/client/v1/subscription_pb.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import { ERRORS, SluiceError, errorCodeFromWire } from '../kernel/errors.ts';
import type { Start } from '../partition/reader.ts';
import { startFromWire } from '../partition/start-wire.ts';

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

/** Where to begin, which is one offset here, and which the other node always says. @throws PROTOCOL_ERROR; OFFSET_OUT_OF_RANGE, INVALID_ARGUMENT */
export function startFromPeer(start: WireStart | undefined): Start {
  const at = start?.at.case;
  if (at === undefined || at === 'lastPerKey')
    throw new SluiceError('PROTOCOL_ERROR', 'a request does not say from where');
  return startFromWire(start);
}

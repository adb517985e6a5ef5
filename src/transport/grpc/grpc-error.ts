import type { ServerErrorResponse, StatusObject } from '@grpc/grpc-js';
import { Metadata, status } from '@grpc/grpc-js';
import type { ErrorCode } from '../../kernel/errors.ts';
import { ERRORS, SluiceError, asSluiceError } from '../../kernel/errors.ts';

/** Trailer with the name of the error code; a gRPC status alone says less. */
const CODE_TRAILER = 'sluice-error';
/** Longest text of an error that is sent, characters: trailers have to fit a header block. */
const TEXT_MAX = 1024;

/** What a gRPC status means where it comes without our trailer: from gRPC itself, or from somebody else's server. */
const CODE_BY_STATUS: Readonly<Partial<Record<status, ErrorCode>>> = {
  [status.CANCELLED]: 'CANCELLED',
  [status.INVALID_ARGUMENT]: 'INVALID_ARGUMENT',
  [status.DEADLINE_EXCEEDED]: 'TIMEOUT',
  [status.PERMISSION_DENIED]: 'FORBIDDEN',
  [status.RESOURCE_EXHAUSTED]: 'OVERLOADED',
  [status.UNIMPLEMENTED]: 'UNSUPPORTED',
  [status.UNAVAILABLE]: 'UNAVAILABLE',
  [status.UNAUTHENTICATED]: 'UNAUTHENTICATED',
};

/** An error as another node may be told of it: what is none of ours is INTERNAL and keeps its text to itself; it is the cause, which is not told. */
export function tellable(error: unknown): SluiceError {
  return error instanceof SluiceError
    ? error
    : new SluiceError('INTERNAL', 'the call failed on the other node', { cause: error });
}

/** An error as the status and trailers of a call. */
export function errorToStatus(error: unknown): ServerErrorResponse & { metadata: Metadata } {
  const known = tellable(error);
  const metadata = new Metadata();
  metadata.set(CODE_TRAILER, known.code);
  return {
    name: known.name,
    message: known.message,
    code: toStatus(ERRORS[known.code].grpc),
    // grpc-js throws, where nobody catches it, for half a character: of a text that was cut, here or before.
    details: known.message.slice(0, TEXT_MAX).toWellFormed(),
    metadata,
  };
}

/** The error that a call ended with; undefined when it ended well. */
export function errorFromStatus(
  ended: Pick<StatusObject, 'code' | 'details' | 'metadata'>,
): SluiceError | undefined {
  if (ended.code === status.OK) return undefined;
  const named = ended.metadata.get(CODE_TRAILER)[0];
  const code =
    typeof named === 'string' && isErrorCode(named) ? named : (CODE_BY_STATUS[ended.code] ?? 'INTERNAL');
  return new SluiceError(code, ended.details);
}

/** What a call threw, as one of our errors. */
export function errorFromCall(error: unknown): SluiceError {
  return isStatus(error) ? (errorFromStatus(error) ?? asSluiceError(error)) : asSluiceError(error);
}

function toStatus(number: number): status {
  return status[status[number] as keyof typeof status];
}

function isErrorCode(name: string): name is ErrorCode {
  return Object.hasOwn(ERRORS, name);
}

function isStatus(error: unknown): error is StatusObject {
  return typeof error === 'object' && error !== null && 'metadata' in error && 'details' in error;
}

/** What one error code means to a program: its number on the wire, whether trying again may help, its HTTP and gRPC status. */
interface ErrorSpec {
  readonly wire: number;
  readonly retryable: boolean;
  readonly http: number;
  readonly grpc: number;
}

/**
 * The one table of error codes. Text is for people; programs look at the code.
 *
 * A wire number is never reused: a gap is a retired code. Number 0 means "no error" on the wire.
 * The same numbers are QUIC application error codes when a stream or a connection is ended because of the error.
 */
export const ERRORS = {
  INTERNAL: { wire: 1, retryable: false, http: 500, grpc: 13 },
  UNAVAILABLE: { wire: 2, retryable: true, http: 503, grpc: 14 },
  TIMEOUT: { wire: 3, retryable: true, http: 504, grpc: 4 },
  CANCELLED: { wire: 4, retryable: false, http: 499, grpc: 1 },
  CLOSED: { wire: 5, retryable: true, http: 503, grpc: 14 },
  DRAINING: { wire: 6, retryable: true, http: 503, grpc: 14 },
  OVERLOADED: { wire: 7, retryable: true, http: 429, grpc: 8 },
  UNSUPPORTED: { wire: 8, retryable: false, http: 501, grpc: 12 },

  NOT_LEADER: { wire: 10, retryable: true, http: 503, grpc: 14 },
  FENCED_EPOCH: { wire: 11, retryable: true, http: 409, grpc: 10 },
  NOT_ENOUGH_REPLICAS: { wire: 12, retryable: true, http: 503, grpc: 14 },

  OFFSET_OUT_OF_RANGE: { wire: 20, retryable: false, http: 416, grpc: 11 },
  OUT_OF_ORDER_SEQUENCE: { wire: 21, retryable: false, http: 409, grpc: 9 },
  PRODUCER_FENCED: { wire: 22, retryable: false, http: 409, grpc: 9 },
  UNKNOWN_PRODUCER: { wire: 23, retryable: false, http: 409, grpc: 9 },
  GAP: { wire: 24, retryable: false, http: 410, grpc: 11 },

  TOPIC_NOT_FOUND: { wire: 30, retryable: false, http: 404, grpc: 5 },
  TOPIC_EXISTS: { wire: 31, retryable: false, http: 409, grpc: 6 },
  PARTITION_NOT_FOUND: { wire: 32, retryable: false, http: 404, grpc: 5 },
  SUBSCRIPTION_NOT_FOUND: { wire: 33, retryable: false, http: 404, grpc: 5 },
  SUBSCRIPTION_EXISTS: { wire: 34, retryable: false, http: 409, grpc: 6 },
  INVALID_TOPIC: { wire: 35, retryable: false, http: 400, grpc: 3 },
  INVALID_FILTER: { wire: 36, retryable: false, http: 400, grpc: 3 },
  INVALID_ARGUMENT: { wire: 37, retryable: false, http: 400, grpc: 3 },
  INVALID_CONFIG: { wire: 38, retryable: false, http: 400, grpc: 3 },
  TOKEN_NOT_FOUND: { wire: 39, retryable: false, http: 404, grpc: 5 },

  UNAUTHENTICATED: { wire: 40, retryable: false, http: 401, grpc: 16 },
  FORBIDDEN: { wire: 41, retryable: false, http: 403, grpc: 7 },

  PROTOCOL_ERROR: { wire: 50, retryable: false, http: 400, grpc: 3 },
  UNKNOWN_FRAME: { wire: 51, retryable: false, http: 400, grpc: 12 },
  FRAME_TOO_LARGE: { wire: 52, retryable: false, http: 413, grpc: 8 },
  BATCH_TOO_LARGE: { wire: 53, retryable: false, http: 413, grpc: 8 },
  CORRUPT_BATCH: { wire: 54, retryable: false, http: 400, grpc: 15 },
  UNKNOWN_CODEC: { wire: 55, retryable: false, http: 415, grpc: 12 },
  KEY_TOO_LARGE: { wire: 56, retryable: false, http: 413, grpc: 8 },
  RECORD_TOO_LARGE: { wire: 57, retryable: false, http: 413, grpc: 8 },
  TOO_MANY_STREAMS: { wire: 58, retryable: true, http: 429, grpc: 8 },
  VERSION_MISMATCH: { wire: 59, retryable: false, http: 505, grpc: 12 },
  NODE_NOT_FOUND: { wire: 60, retryable: false, http: 404, grpc: 5 },
  ONLY_COPY: { wire: 61, retryable: false, http: 409, grpc: 9 },

  CONNECT_FAILED: { wire: 70, retryable: true, http: 502, grpc: 14 },
  CERTIFICATE_REJECTED: { wire: 71, retryable: false, http: 495, grpc: 16 },
  ADDRESS_IN_USE: { wire: 72, retryable: false, http: 500, grpc: 13 },
  STORAGE_FULL: { wire: 80, retryable: true, http: 507, grpc: 8 },
  STORAGE_FAILED: { wire: 81, retryable: true, http: 500, grpc: 13 },
  DATA_DIR_LOCKED: { wire: 82, retryable: false, http: 500, grpc: 9 },
  CORRUPT_LOG: { wire: 83, retryable: false, http: 500, grpc: 15 },

  GROUP_NOT_FOUND: { wire: 90, retryable: false, http: 404, grpc: 5 },
  GROUP_NOT_EMPTY: { wire: 91, retryable: false, http: 409, grpc: 9 },
  UNKNOWN_MEMBER: { wire: 92, retryable: false, http: 409, grpc: 9 },
  STALE_GENERATION: { wire: 93, retryable: false, http: 409, grpc: 9 },
  QUEUE_NOT_FOUND: { wire: 94, retryable: false, http: 404, grpc: 5 },
  LEASE_EXPIRED: { wire: 95, retryable: false, http: 410, grpc: 9 },
  RECORD_NOT_FOUND: { wire: 96, retryable: false, http: 404, grpc: 5 },
} as const satisfies Record<string, ErrorSpec>;

/** A key of {@link ERRORS}: what programs tell errors apart by. */
export type ErrorCode = keyof typeof ERRORS;

const CODE_BY_WIRE: ReadonlyMap<number, ErrorCode> = new Map(
  (Object.keys(ERRORS) as ErrorCode[]).map((code) => [ERRORS[code].wire, code]),
);

/**
 * The one error class. Programs branch on `code`; the message says to a person what happened and what to do next.
 */
export class SluiceError extends Error {
  override readonly name = 'SluiceError';
  readonly code: ErrorCode;

  /**
   * @param code an entry of {@link ERRORS}
   * @param message for people: what happened, to what, and what to do about it
   * @param options `cause`: the foreign error this one wraps
   */
  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  /** Whether the same call may succeed when it is made again. */
  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }

  /** The number of this error in frames and as QUIC application error code. */
  get wire(): number {
    return ERRORS[this.code].wire;
  }
}

/** The code that a wire number stands for; a number this version does not know is `INTERNAL`. */
export function errorCodeFromWire(wire: number): ErrorCode {
  return CODE_BY_WIRE.get(wire) ?? 'INTERNAL';
}

/** `error` itself when it is a {@link SluiceError}, else an error of `code` that keeps it as cause. */
export function asSluiceError(error: unknown, code: ErrorCode = 'INTERNAL'): SluiceError {
  if (error instanceof SluiceError) return error;
  return new SluiceError(code, error instanceof Error ? error.message : String(error), { cause: error });
}

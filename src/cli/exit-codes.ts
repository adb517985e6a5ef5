import { ERRORS } from '../kernel/errors.ts';
import type { ErrorCode } from '../kernel/errors.ts';

/** What the exit code of the `sluice` command says. Documented in docs/cli.md; a number never changes its meaning. */
export const EXIT = {
  ok: 0,
  error: 1,
  usage: 2,
  cannotConnect: 3,
  refused: 4,
  notFound: 5,
  incomplete: 6,
  damaged: 7,
  exists: 8,
  interrupted: 130,
  terminated: 143,
} as const;

/** One of the numbers of {@link EXIT}. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

const BY_CODE: Partial<Record<ErrorCode, ExitCode>> = {
  CONNECT_FAILED: EXIT.cannotConnect,
  UNAVAILABLE: EXIT.cannotConnect,
  CLOSED: EXIT.cannotConnect,
  DRAINING: EXIT.cannotConnect,
  VERSION_MISMATCH: EXIT.cannotConnect,
  OFFSET_OUT_OF_RANGE: EXIT.notFound,
  UNAUTHENTICATED: EXIT.refused,
  FORBIDDEN: EXIT.refused,
  CERTIFICATE_REJECTED: EXIT.refused,
  TIMEOUT: EXIT.incomplete,
  ONLY_COPY: EXIT.incomplete,
  GAP: EXIT.incomplete,
  CANCELLED: EXIT.interrupted,
  CORRUPT_LOG: EXIT.damaged,
  TOPIC_EXISTS: EXIT.exists,
};

/** The exit code for an error code: by the table above, 5 for what does not exist, 2 for what the caller wrote wrong, else 1. */
export function exitCodeFor(code: ErrorCode): ExitCode {
  const listed = BY_CODE[code];
  if (listed !== undefined) return listed;
  if (ERRORS[code].http === 404) return EXIT.notFound;
  return code.startsWith('INVALID_') ? EXIT.usage : EXIT.error;
}

/** The exit code after Ctrl-C, or after SIGTERM. @param interrupted aborted with the signal's name as reason */
export function exitInterrupted(interrupted: AbortSignal): ExitCode {
  return interrupted.reason === 'SIGTERM' ? EXIT.terminated : EXIT.interrupted;
}

import {
  EtcdAuthenticationFailedError,
  EtcdInvalidAuthTokenError,
  EtcdLeaseInvalidError,
  EtcdPermissionDeniedError,
  GRPCCancelledError,
  GRPCDeadlineExceededError,
  GRPCInternalError,
  GRPCUnavailableError,
  GRPCUnknownError,
} from 'etcd3';
import type { ErrorCode } from '../../kernel/errors.ts';
import { SluiceError } from '../../kernel/errors.ts';

interface Meaning {
  readonly matches: (message: string, error: unknown) => boolean;
  readonly code: ErrorCode;
  readonly advice: string;
}

const isA =
  (...classes: readonly (new (...args: never[]) => Error)[]) =>
  (_message: string, error: unknown): boolean =>
    classes.some((one) => error instanceof one);
const says =
  (pattern: RegExp) =>
  (message: string): boolean =>
    pattern.test(message);

/**
 * What etcd, gRPC and TLS say, and what it means here; the first that matches counts. The client has no codes for most of it, so some are
 * told by etcd's fixed texts (etcd: api/v3rpc/rpctypes/error.go).
 */
const MEANINGS: readonly Meaning[] = [
  {
    matches: says(/database space exceeded/),
    code: 'STORAGE_FULL',
    advice:
      'etcd is full: compact and defragment it, then run `etcdctl alarm disarm`; reading goes on meanwhile',
  },
  {
    matches: says(/too many requests/),
    code: 'OVERLOADED',
    advice: 'etcd has more to do than it can; it is tried again',
  },
  {
    matches: isA(EtcdAuthenticationFailedError),
    code: 'UNAUTHENTICATED',
    advice:
      'etcd does not accept user and password: check cluster.etcd.username and cluster.etcd.passwordFile',
  },
  {
    matches: says(/user name is empty/),
    code: 'UNAUTHENTICATED',
    advice: 'etcd wants a user: set cluster.etcd.username and cluster.etcd.passwordFile',
  },
  {
    matches: says(/authentication is not enabled/),
    code: 'UNAUTHENTICATED',
    advice: 'etcd knows no users: leave out cluster.etcd.username, or run `etcdctl auth enable`',
  },
  {
    matches: isA(EtcdInvalidAuthTokenError),
    code: 'UNAVAILABLE',
    advice: 'etcd has forgotten that this node logged in; it logs in again',
  },
  {
    matches: isA(EtcdPermissionDeniedError),
    code: 'FORBIDDEN',
    advice:
      "etcd's user may not read and write the cluster's keys: `etcdctl role grant-permission ROLE readwrite --prefix=true /sluice/NAME/`",
  },
  {
    matches: says(
      /certificate|self[- ]signed|altnames|ERR_TLS|ERR_SSL|ERR_OSSL|alert (bad|unknown|decrypt|handshake)/i,
    ),
    code: 'CERTIFICATE_REJECTED',
    advice:
      'TLS with etcd failed: check cluster.etcd.ca, certificate and key, and that the certificate of etcd names its endpoints',
  },
  { matches: isA(EtcdLeaseInvalidError), code: 'UNAVAILABLE', advice: 'the lease of this node is over' },
  { matches: isA(GRPCDeadlineExceededError), code: 'TIMEOUT', advice: 'etcd did not answer in time' },
  {
    matches: isA(GRPCUnavailableError, GRPCCancelledError, GRPCInternalError, GRPCUnknownError),
    code: 'UNAVAILABLE',
    advice: 'etcd cannot be reached: check cluster.etcd.endpoints, and that a majority of its members is up',
  },
  {
    matches: says(/request is too large/),
    code: 'INVALID_ARGUMENT',
    advice: 'etcd takes no value as large as this (its --max-request-bytes)',
  },
  {
    // Node refuses what gRPC was given, before anything was sent.
    matches: says(/Channel has been shut down|client has been closed/i),
    code: 'UNAVAILABLE',
    advice: 'the connection to etcd was closed',
  },
];

/** The coded error for what the client of etcd threw; one that is coded already is itself. */
export function etcdError(cause: unknown): SluiceError {
  if (cause instanceof SluiceError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  const meaning = MEANINGS.find(({ matches }) => matches(message, cause));
  if (!meaning) return new SluiceError('UNAVAILABLE', `etcd: ${message}`, { cause });
  return new SluiceError(meaning.code, `${meaning.advice} (${message})`, { cause });
}

/** Whether the same may go well in a moment, though nobody knows whether it has happened. */
export function isPassing({ code }: SluiceError): boolean {
  return code === 'UNAVAILABLE' || code === 'TIMEOUT' || code === 'OVERLOADED';
}

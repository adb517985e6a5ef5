import { asSluiceError } from '../kernel/errors.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import { exitCodeFor } from './exit-codes.ts';
import type { ExitCode } from './exit-codes.ts';

/** What to do next, for codes whose remedy is a command; the message of the error itself says the rest. */
const NEXT_STEP: Partial<Record<ErrorCode, string>> = {
  CONNECT_FAILED: 'Is a node running there? Start one with: sluice serve',
  CERTIFICATE_REJECTED:
    'A server has to show a certificate for the host in --server, signed by the authority in --ca FILE or SLUICE_CA; a node makes one for the names in tls.names, and has its authority in DATA/tls/ca.pem.',
  UNAUTHENTICATED: 'Give a token with --token or SLUICE_TOKEN, or a certificate with --cert and --key.',
  FORBIDDEN: 'Ask for a token with that right: sluice token create --help',
  OFFSET_OUT_OF_RANGE: 'See where the partitions of its topic begin and end with: sluice topic describe',
  TOPIC_NOT_FOUND: 'See what exists with: sluice topic list',
  TOPIC_EXISTS: 'Take it as it is with --if-not-exists, or change it with: sluice topic alter',
  NODE_NOT_FOUND: 'See who is there with: sluice cluster nodes',
  ONLY_COPY:
    'Give each topic another copy and drain again: sluice topic alter TOPIC --replication-factor 2. If the node is stopped without that, nobody can use them until it runs again.',
  TOKEN_NOT_FOUND: 'See what exists with: sluice token list',
  DATA_DIR_LOCKED: 'Stop the node that runs there, or name another directory with --data.',
  ADDRESS_IN_USE:
    'Choose another port with --quic, --tls-listen, --http or --grpc, or stop what listens there.',
  GROUP_NOT_FOUND: 'See what exists with: sluice group list',
  GROUP_NOT_EMPTY: 'Stop its members first; who they are says: sluice group describe GROUP',
  QUEUE_NOT_FOUND: 'See what exists with: sluice queue list',
  LEASE_EXPIRED: 'Somebody else may have it by now; take it again with: sluice queue receive TOPIC',
  RECORD_NOT_FOUND: 'See what there is with: sluice dlq list',
  DRAINING: 'Try again when it is back.',
};

/** An error as the command line shows it. */
export interface Failure {
  readonly exitCode: ExitCode;
  /** One line without a line end: `sluice: CODE: what happened. What to do next.` */
  readonly line: string;
}

/** Turns anything thrown into one line for stderr and an exit code; foreign errors are INTERNAL. */
export function describeFailure(error: unknown): Failure {
  const known = asSluiceError(error);
  const next = NEXT_STEP[known.code];
  const what = sentence(known.message);
  return {
    exitCode: exitCodeFor(known.code),
    line: `sluice: ${known.code}: ${next === undefined || saysWhatToDo(what, next) ? what : `${what} ${next}`}`,
  };
}

/** An error that names a command itself knows better what helps. */
function saysWhatToDo(what: string, next: string): boolean {
  return what.includes(next) || /: sluice [a-z]/.test(what);
}

function sentence(text: string): string {
  const oneLine = text
    .trim()
    .replace(/:\s*[\r\n]+\s*/g, ': ')
    .replace(/\s*[\r\n]+\s*/g, '; ');
  return /[.!?]$/.test(oneLine) ? oneLine : `${oneLine}.`;
}

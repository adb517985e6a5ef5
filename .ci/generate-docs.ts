/** Writes the pages of docs/ that follow from code: errors.md from the error table, configuration.md from the settings. */
import { writeFileSync } from 'node:fs';
import { configReference } from '../src/config/render.ts';
import type { ErrorCode } from '../src/kernel/errors.ts';
import { ERRORS } from '../src/kernel/errors.ts';

/** What each code tells a person. A code without a meaning does not compile. */
const MEANINGS: Readonly<Record<ErrorCode, string>> = {
  INTERNAL:
    'A fault of the software itself, or a number that this version does not know. Please report it with the log.',
  UNAVAILABLE: 'The other side cannot serve this now; a publish may or may not have been stored.',
  TIMEOUT: 'No answer within the time allowed; a publish may or may not have been stored.',
  CANCELLED: 'The caller gave up.',
  CLOSED: 'The connection, stream or object is closed.',
  DRAINING: 'The node is shutting down and takes nothing new; connect to another one, or to this one later.',
  OVERLOADED: 'A bound was reached (connections, subscriptions, buffers); slow down and try again.',
  UNSUPPORTED:
    'Understood but not offered: a request, a storage or a kind of batch that this node does not have.',
  NOT_LEADER:
    'This node does not lead the partition, or not in that epoch; ask for metadata and go to the leader. The batch may have been stored all the same, by an earlier attempt.',
  FENCED_EPOCH: 'The leader epoch given is not the current one; ask for metadata.',
  NOT_ENOUGH_REPLICAS:
    'Fewer in-sync replicas than the topic asks for; the batch may have been stored all the same, by an earlier attempt.',
  OFFSET_OUT_OF_RANGE: 'An offset beyond the end of the log, or beyond 2^53 − 1.',
  OUT_OF_ORDER_SEQUENCE: 'A batch of an idempotent producer is missing before this one; nothing was stored.',
  PRODUCER_FENCED: 'A newer epoch of this producer id exists; this producer must stop.',
  UNKNOWN_PRODUCER:
    'The partition does not know the producer id; ask for a new one and begin with sequence 0.',
  GAP: 'Records were removed before they were read, and the subscription asked to end there. Of a publish: before it was known that all in-sync replicas had them; they may be lost.',
  TOPIC_NOT_FOUND: 'No topic has this name, and it was not created automatically.',
  TOPIC_EXISTS: 'A topic with this name exists already.',
  PARTITION_NOT_FOUND: 'The topic has no partition with this number.',
  SUBSCRIPTION_NOT_FOUND: 'The connection has no subscription with this id.',
  SUBSCRIPTION_EXISTS: 'The connection already has a subscription with this id.',
  INVALID_TOPIC:
    'Not a topic name: 1–249 characters of `A-Z a-z 0-9 . _ -`, starting with a letter or digit.',
  INVALID_FILTER: 'Not a filter; section 3 of the protocol says what one looks like.',
  INVALID_ARGUMENT: 'A value of the request makes no sense; the text says which.',
  INVALID_CONFIG: 'The configuration, a certificate or a key cannot be used; the text names every fault.',
  TOKEN_NOT_FOUND: 'No token has this id.',
  NODE_NOT_FOUND: 'No member of the cluster has this name now.',
  ONLY_COPY: 'No other node has a copy of the partition, so none can take it over.',
  UNAUTHENTICATED: 'The token or certificate is missing, unknown or expired.',
  FORBIDDEN: 'The principal may not do this, or names what is another’s; grant it, or use another token.',
  PROTOCOL_ERROR: 'Bytes that the protocol does not allow here; the stream or connection is ended.',
  UNKNOWN_FRAME: 'A frame type that this version does not know; the stream is ended.',
  FRAME_TOO_LARGE:
    'A frame announces more than the limit in WELCOME, or a control message does not fit 64 KiB.',
  BATCH_TOO_LARGE:
    'A record batch is larger than the topic allows, or inflates to more than the reader allows.',
  CORRUPT_BATCH: 'Length, CRC, header or records of a batch are wrong; nothing was stored.',
  UNKNOWN_CODEC: 'The batch is compressed with something other than none, gzip or zstd.',
  KEY_TOO_LARGE: 'A key is longer than the limit in WELCOME.',
  RECORD_TOO_LARGE: 'A single record does not fit a batch.',
  TOO_MANY_STREAMS: 'The peer has as many streams open as it may; close some or wait.',
  VERSION_MISMATCH: 'The two sides have no protocol version in common.',
  CONNECT_FAILED: 'No connection could be made; the text says to where and why.',
  CERTIFICATE_REJECTED: 'A certificate is not from a trusted authority, is expired, or is for another name.',
  ADDRESS_IN_USE: 'Another process listens on this address.',
  STORAGE_FULL:
    'No room is left for records; what was refused may yet be there when the node starts anew, and a producer that sends it again has it once.',
  STORAGE_FAILED: 'Reading or writing storage failed.',
  DATA_DIR_LOCKED: 'Another process uses the data directory.',
  CORRUPT_LOG: 'Stored records are damaged; those before and behind the damage can be read.',
  GROUP_NOT_FOUND: 'No consumer group has this name.',
  GROUP_NOT_EMPTY: 'The consumer group has members; stop them first.',
  UNKNOWN_MEMBER: 'The consumer group does not know the member, or no more; join again.',
  STALE_GENERATION:
    'The partition is not this member’s, or not any more; what it wanted to commit is not stored.',
  QUEUE_NOT_FOUND: 'No queue of this name reads the topic.',
  LEASE_EXPIRED:
    'The record is not leased under this token, or not any more: it was settled, or goes to another consumer.',
  RECORD_NOT_FOUND: 'There is no such record: it was never there, is done, or retention took it.',
};

const GRPC_NAMES: Readonly<Record<number, string>> = {
  1: 'CANCELLED',
  3: 'INVALID_ARGUMENT',
  4: 'DEADLINE_EXCEEDED',
  5: 'NOT_FOUND',
  6: 'ALREADY_EXISTS',
  7: 'PERMISSION_DENIED',
  8: 'RESOURCE_EXHAUSTED',
  9: 'FAILED_PRECONDITION',
  10: 'ABORTED',
  11: 'OUT_OF_RANGE',
  12: 'UNIMPLEMENTED',
  13: 'INTERNAL',
  14: 'UNAVAILABLE',
  15: 'DATA_LOSS',
  16: 'UNAUTHENTICATED',
};

function errorRow(code: ErrorCode): string {
  const { wire, retryable, http, grpc } = ERRORS[code];
  const grpcName = GRPC_NAMES[grpc];
  if (grpcName === undefined) throw new Error(`${code} has no gRPC status: ${grpc}`);
  return `| ${wire} | ${code} | ${retryable ? 'yes' : 'no'} | ${http} | ${grpc} ${grpcName} | ${MEANINGS[code]} |`;
}

function errorsPage(): string {
  const codes = (Object.keys(ERRORS) as ErrorCode[]).sort((a, b) => ERRORS[a].wire - ERRORS[b].wire);
  return [
    '# Errors',
    '',
    'Generated from `src/kernel/errors.ts`.',
    '',
    'Programs look at the code, never at the text. The number is what frames carry (PRODUCED, END, ERROR) and what QUIC shows as',
    'application error code when a stream or connection is ended because of the error; 0 is no error. Retry: the same call may',
    'succeed when it is made again. HTTP and gRPC are the statuses that gateways answer with. A number is never reused: those',
    'missing here are retired or kept free. A number that a program does not know stands for INTERNAL.',
    '',
    '| number | code | retry | HTTP | gRPC | meaning |',
    '| --- | --- | --- | --- | --- | --- |',
    ...codes.map(errorRow),
    '',
  ].join('\n');
}

const docs = new URL('../docs/', import.meta.url);
writeFileSync(new URL('errors.md', docs), errorsPage());
writeFileSync(new URL('configuration.md', docs), configReference());

import type { Position } from '../../../broker/views.ts';
import { KeyFilter } from '../../../catalog/key-filter.ts';
import { checkTopicName } from '../../../catalog/topic-name.ts';
import type { GroupQuestionInit } from '../../../groups/api.ts';
import { DEFAULT_QUEUE_GROUP } from '../../../groups/api.ts';
import { SluiceError } from '../../../kernel/errors.ts';
import type { Start } from '../../../partition/reader.ts';
import { parsePlace } from '../place.ts';
import { placeToWire } from '../place-wire.ts';
import type { RecordEncoding } from '../../../wire/record-json.ts';
import { parseRecordEncoding } from '../../../wire/record-json.ts';

interface AnyRequest {
  readonly topic: string;
  readonly encoding: RecordEncoding;
  /** Records that may come before the client allows more; a queue's: that it may have leased. Undefined: not bounded by number. */
  readonly credit: number | undefined;
}

/** Everything from a place on. */
export interface PlainRequest extends AnyRequest {
  readonly kind: 'plain';
  /** `topic`, or `topic/key-filter`. */
  readonly filter: string;
  /** Where partitions begin that `positions` do not name. */
  readonly start: Start;
  readonly positions: readonly Position[];
  /** Undefined: all. */
  readonly partitions: readonly number[] | undefined;
}

/** A member of a consumer group. */
export interface GroupStreamRequest extends AnyRequest {
  readonly kind: 'group';
  readonly group: string;
  readonly consumer: string;
  readonly instanceId: string;
  readonly start: NonNullable<GroupQuestionInit<'joinGroup'>['start']>;
  readonly matchesKey: ((key: Buffer | null) => boolean) | undefined;
  /** What the client has been sent is committed; else what it acknowledges. */
  readonly autoCommit: boolean;
  readonly sessionTimeoutMs: number | undefined;
}

/** A consumer of a queue. */
export interface QueueStreamRequest extends AnyRequest {
  readonly kind: 'queue';
  readonly group: string;
  readonly consumer: string;
  /** 0: that of the queue. */
  readonly leaseMs: number;
}

/** What a stream is opened for, as it was asked and checked. */
export type StreamRequest = PlainRequest | GroupStreamRequest | QueueStreamRequest;

/** What a client asked for. */
export interface StreamAsk {
  /** As it is in the path, decoded. */
  readonly topic: string;
  readonly query: URLSearchParams;
  /** The id of the last event that an event stream's client has seen. */
  readonly lastEventId?: string | undefined;
  /** An event stream's client cannot say anything. */
  readonly isOneWay: boolean;
}

const ALWAYS = ['encoding', 'credit', 'access_token'];
const PARAMETERS = {
  plain: [...ALWAYS, 'from', 'key', 'partitions', 'positions'],
  group: [...ALWAYS, 'from', 'key', 'group', 'consumer', 'instance', 'commit', 'session'],
  queue: [...ALWAYS, 'queue', 'consumer', 'lease'],
};
const POSITIONS = /^\d{1,5}:\d{1,16}(?:,\d{1,5}:\d{1,16})*$/;
const NUMBERS = /^\d{1,5}(?:,\d{1,5})*$/;

/** @throws INVALID_ARGUMENT, INVALID_TOPIC, INVALID_FILTER; UNSUPPORTED for what an event stream cannot do */
export function parseStreamRequest(ask: StreamAsk): StreamRequest {
  checkTopicName(ask.topic);
  const kind = kindOf(ask.query);
  checkParameters(ask.query, kind);
  const { isOneWay } = ask;
  if (isOneWay && (kind === 'queue' || ask.query.has('credit'))) {
    const text =
      'an event stream cannot be answered: take a WebSocket for credit, and for queues that or POST …/receive';
    throw new SluiceError('UNSUPPORTED', text);
  }
  switch (kind) {
    case 'plain':
      return plainRequest(ask);
    case 'group':
      return groupRequest(ask);
    case 'queue':
      return queueRequest(ask);
  }
}

function kindOf(query: URLSearchParams): StreamRequest['kind'] {
  if (query.has('queue')) return 'queue';
  return query.has('group') ? 'group' : 'plain';
}

function checkParameters(query: URLSearchParams, kind: StreamRequest['kind']): void {
  const seen = new Set<string>();
  for (const name of query.keys()) {
    if (seen.has(name)) throw invalid(`${name.slice(0, 64)} is there more than once`);
    seen.add(name);
    if (!PARAMETERS[kind].includes(name))
      throw invalid(`${name.slice(0, 64)} is none of ${PARAMETERS[kind].join(', ')}`);
  }
}

function plainRequest({ topic, query, lastEventId = '' }: StreamAsk): PlainRequest {
  const key = query.get('key');
  // What a browser has seen last counts for more than the address it began with.
  const places = lastEventId === '' ? (query.get('positions') ?? '') : lastEventId;
  const partitions = query.get('partitions') ?? undefined;
  if (partitions !== undefined && !NUMBERS.test(partitions))
    throw invalid('partitions are numbers with commas');
  return {
    ...anyRequest(topic, query),
    kind: 'plain',
    filter: key === null ? topic : `${topic}/${key}`,
    positions: parsePositions(topic, places),
    // What a stream that goes on does not name was made meanwhile.
    start: places === '' ? parseStart(query.get('from') ?? 'latest') : { at: 'earliest' },
    partitions: partitions?.split(',').map(Number),
  };
}

function groupRequest({ topic, query, isOneWay }: StreamAsk): GroupStreamRequest {
  const key = query.get('key');
  const filter = key === null ? undefined : new KeyFilter(key);
  const commit = query.get('commit') ?? (isOneWay ? 'auto' : 'manual');
  if (commit !== 'auto' && commit !== 'manual') throw invalid('commit is auto or manual');
  if (isOneWay && commit === 'manual')
    throw new SluiceError(
      'UNSUPPORTED',
      'an event stream cannot be answered: commit=auto, or take a WebSocket',
    );
  return {
    ...anyRequest(topic, query),
    kind: 'group',
    group: query.get('group')!,
    consumer: query.get('consumer') ?? '',
    instanceId: query.get('instance') ?? '',
    start: placeToWire(query.get('from') ?? 'latest'),
    matchesKey: filter && ((recordKey) => filter.matches(recordKey)),
    autoCommit: commit === 'auto',
    sessionTimeoutMs: milliseconds(query, 'session'),
  };
}

function queueRequest({ topic, query }: StreamAsk): QueueStreamRequest {
  const group = query.get('queue')!;
  return {
    ...anyRequest(topic, query),
    kind: 'queue',
    group: group === '' ? DEFAULT_QUEUE_GROUP : group,
    consumer: query.get('consumer') ?? '',
    leaseMs: milliseconds(query, 'lease') ?? 0,
  };
}

function anyRequest(topic: string, query: URLSearchParams): AnyRequest {
  const credit = query.get('credit');
  if (credit !== null && !/^\d{1,5}$/.test(credit)) throw invalid('credit is a number of records');
  return {
    topic,
    encoding: parseRecordEncoding(query.get('encoding') ?? undefined),
    credit: credit === null ? undefined : Number(credit),
  };
}

function milliseconds(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw invalid(`${name} is a time in milliseconds`);
  return Number(text);
}

function parsePositions(topic: string, text: string): readonly Position[] {
  if (text === '') return [];
  if (!POSITIONS.test(text))
    throw invalid('positions are partition:offset with commas, as the id of an event has them');
  return text.split(',').map((one) => {
    const [partition, offset] = one.split(':').map(Number);
    return { topic, partition: partition!, offset: safe(offset!) };
  });
}

function parseStart(text: string): Start {
  return text === 'last-per-key' ? { at: text } : parsePlace(text);
}

function safe(offset: number): number {
  if (Number.isSafeInteger(offset)) return offset;
  throw invalid(`the offset ${offset} is beyond 2^53 - 1`);
}

function invalid(text: string): SluiceError {
  return new SluiceError('INVALID_ARGUMENT', text);
}

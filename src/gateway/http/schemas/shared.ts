import { ERRORS } from '../../../kernel/errors.ts';
import type { JsonSchema } from './json-schema.ts';
import { choice, flag, integer, list, object, reference, text } from './json-schema.ts';

/** Schemas that several answers share, by name. */
export const SHARED_SCHEMAS: Readonly<Record<string, JsonSchema>> = {
  Error: object(
    {
      error: object(
        { code: choice(Object.keys(ERRORS), 'For programs; docs/errors.md'), message: text('For people') },
        ['code', 'message'],
      ),
    },
    ['error'],
    true,
  ),
  Bytes: {
    type: ['string', 'null'],
    description: 'Text, or base64 where `encoding` says so',
  },
  Record: object(
    {
      topic: text(),
      partition: integer(),
      offset: integer(),
      timestamp: integer('Milliseconds since 1970'),
      key: reference('Bytes'),
      value: { description: 'Text, base64 or any JSON, as `encoding` says' },
      headers: object({}, [], { anyOf: [reference('Bytes'), list(reference('Bytes'))] }),
      encoding: choice(['base64', 'json'], 'Left out where everything is text'),
      token: text('Of the lease; settling names it'),
      attempt: integer('1 for the first delivery', { minimum: 1 }),
    },
    ['topic', 'partition', 'offset', 'timestamp', 'key', 'value', 'headers'],
  ),
  NewRecord: object({
    key: reference('Bytes'),
    value: { description: 'A string is its text; null is no value; anything else is stored as JSON' },
    headers: object({}, [], { anyOf: [reference('Bytes'), list(reference('Bytes'))] }),
    timestamp: integer('Milliseconds since 1970; default now'),
    encoding: choice(['text', 'base64', 'json'], 'base64: key, value and header values are base64'),
    payload: text('The same as value'),
  }),
  Stored: object({ partition: integer(), offset: integer() }, ['partition', 'offset']),
  Position: object({ topic: text(), partition: integer(), offset: integer() }, [
    'topic',
    'partition',
    'offset',
  ]),
  Gap: object({ partition: integer(), from: integer(), to: integer('Exclusive') }, ['from', 'to']),
  TopicSettings: object({
    storage: choice(['memory', 'disk']),
    retentionBytes: integer(),
    retentionMs: integer('0: no bound'),
    retentionRecords: integer('0: no bound'),
    batchMaxBytes: integer(),
    timestamps: choice(['create', 'append']),
    flush: choice(['always', 'interval', 'os']),
    flushIntervalMs: integer(),
    cleanup: choice(['delete', 'compact', 'compact,delete']),
    tombstoneMs: integer(),
    replicationFactor: integer(undefined, { minimum: 1 }),
    minInsync: integer(undefined, { minimum: 1 }),
    uncleanElection: flag(),
  }),
  Fault: object({ code: text(), message: text() }, ['code', 'message']),
  Partition: object(
    {
      partition: integer(),
      leaderNodeId: text('Empty: nobody leads it'),
      leaderEpoch: integer(undefined, {}),
      replicas: list(text()),
      isr: list(text()),
      logStart: integer(),
      highWatermark: integer('Exclusive'),
      logEnd: integer('Exclusive'),
      retainedBytes: integer(),
      subscribers: integer(),
      error: reference('Fault'),
    },
    ['partition', 'leaderNodeId', 'leaderEpoch', 'replicas', 'isr', 'logStart', 'highWatermark', 'logEnd'],
  ),
  Topic: object(
    {
      name: text(),
      id: text(),
      partitions: integer('How many', { minimum: 0 }),
      settings: reference('TopicSettings'),
      createdMs: integer('Milliseconds since 1970'),
      error: reference('Fault'),
      partitionDetails: list(reference('Partition')),
    },
    ['name', 'id', 'partitions', 'settings', 'createdMs'],
  ),
};

/** Where a topic, a group or a queue begins, or is set to. */
export const PLACE = text('`earliest`, `latest`, an offset, or a time as `@` and milliseconds since 1970', {
  pattern: '^(earliest|latest|@?\\d{1,16})$',
});

/** How bytes become JSON. */
export const ENCODING = choice(
  ['auto', 'text', 'base64', 'json'],
  'text (or auto, the default): text where all of a record is UTF-8, else base64; base64: always; json: a value that is JSON as that',
);

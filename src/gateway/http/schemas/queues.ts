import { flag, integer, list, object, reference, text } from './json-schema.ts';
import { PLACE } from './shared.ts';

const SETTINGS = {
  leaseMs: integer('30,000', { minimum: 10, maximum: 43_200_000 }),
  maxAttempts: integer('5; 0: without end', { minimum: 0, maximum: 1000 }),
  backoffMs: integer('1,000; doubles for each delivery'),
  maxBackoffMs: integer('60,000'),
  orderedByKey: flag('A record waits until the one before it of the same key is done'),
  deadLetterTopic: text('Empty: dlq.<topic>'),
};

/** Body: settings of a queue. */
export const QUEUE_SETTINGS = object({ ...SETTINGS, start: PLACE });

/** Answer: settings that were changed. */
export const CONFIGURED = {
  description: 'The settings in force',
  ...object({ settings: object(SETTINGS, []) }, ['settings']),
};

/** Answer: all queues. */
export const QUEUES = {
  description: 'By topic',
  ...object(
    {
      queues: list(
        object(
          {
            topic: text(),
            group: text(),
            ready: integer(),
            leased: integer(),
            delayed: integer(),
            coordinatorNodeId: text(),
          },
          ['topic', 'group', 'ready', 'leased', 'delayed', 'coordinatorNodeId'],
        ),
      ),
    },
    ['queues'],
  ),
};

/** Answer: one queue, with its partitions. */
export const QUEUE = {
  description: 'The queue',
  ...object(
    {
      topic: text(),
      group: text(),
      settings: object(SETTINGS, []),
      partitions: list(
        object(
          {
            partition: integer(),
            floor: integer('All below are done'),
            cursor: integer('None from here on has been delivered'),
            end: integer('Exclusive'),
            ready: integer(),
            leased: integer(),
            delayed: integer(),
          },
          ['partition', 'floor', 'cursor', 'end', 'ready', 'leased', 'delayed'],
        ),
      ),
      coordinatorNodeId: text(),
      waitingConsumers: integer(),
    },
    ['topic', 'group', 'partitions', 'coordinatorNodeId', 'waitingConsumers'],
  ),
};

/** Body: how many records are wanted, and for how long. */
export const RECEIVE = object({
  max: integer('Records at most; default 1', { minimum: 1, maximum: 10_000 }),
  waitMs: integer('While there is none; default 0', { minimum: 0, maximum: 30_000 }),
  maxBytes: integer('Of the batches the records are in; default 1 MiB', { minimum: 1, maximum: 16_777_216 }),
  leaseMs: integer('Default: that of the queue', { minimum: 10, maximum: 43_200_000 }),
  consumer: text('Who it is, for people', { maxLength: 256 }),
});

/** Answer: records that are leased now. */
export const RECEIVED = {
  description: 'Perhaps none',
  ...object(
    {
      messages: list(reference('Record')),
      leaseMs: integer('From the time of the answer; 0 where there are no messages'),
      gaps: list(reference('Gap')),
    },
    ['messages', 'leaseMs', 'gaps'],
  ),
};

/** Body: leases that are to be settled. @param more what else is said of an action */
export function settlement(more: Parameters<typeof object>[0]): ReturnType<typeof object> {
  return object({ tokens: list(text('Of a record that was received')), ...more }, ['tokens']);
}

/** Answer: what became of each lease. */
export const SETTLED = {
  description: 'All are settled; where one is refused the status is that of its error',
  ...object(
    {
      error: reference('Fault'),
      results: list(object({ token: text(), error: reference('Fault') }, ['token'])),
    },
    ['results'],
  ),
};

/** Answer: a page of records, which stay as they are. */
export const BROWSED = {
  description: 'Records that are not done, and where to go on; no `next`: that was all',
  ...object({ messages: list(reference('Record')), next: text() }, ['messages']),
};

/** One offset of each partition. */
export const OFFSETS = list(object({ partition: integer(), offset: integer() }, ['partition', 'offset']));

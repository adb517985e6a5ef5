import type {
  BrowsedRecord,
  QueueDescription,
  QueueSettings,
  QueueSettingsChange,
  QueueSummary,
} from '../../client/index.ts';
import { withClient } from '../connection.ts';
import type { ConnectionFlags } from '../connection.ts';
import type { AdminFlags } from '../declare/declare-options.ts';
import { duration, facts, table } from '../format.ts';
import { noteIfMissing } from '../records/reading-notes.ts';
import { recordObject } from '../records/record-format.ts';
import { placeText, shortText } from '../records/record-text.ts';
import { parseStart } from '../records/start-position.ts';
import type { Terminal } from '../terminal.ts';
import { durationOption } from '../units.ts';

/** Options that name a queue, with its topic. */
export interface QueueNameFlags extends ConnectionFlags {
  readonly group: string;
}

/** Options of commands that show something of a queue. */
export type QueueFlags = QueueNameFlags & AdminFlags;

/** Options of `sluice queue configure`. */
export interface QueueConfigureFlags extends QueueFlags {
  readonly lease?: string;
  readonly maxAttempts?: number;
  readonly backoff?: string;
  readonly maxBackoff?: string;
  readonly orderedByKey?: boolean;
  readonly deadLetterTopic?: string;
  readonly from?: string;
}

/** Options of `sluice queue peek`. */
export interface QueuePeekFlags extends QueueFlags {
  readonly max: number;
}

/** Lists the queues of topics that the principal may read. */
export function listQueues(flags: AdminFlags, terminal: Terminal): Promise<void> {
  return withClient(terminal, flags, async ({ admin }) => {
    const queues = await admin.queues.list();
    terminal.stdout.line(flags.output === 'json' ? JSON.stringify(queues) : queueTable(queues));
  });
}

/** Shows settings, and how far each partition is. @throws QUEUE_NOT_FOUND */
export function describeQueue(topic: string, flags: QueueFlags, terminal: Terminal): Promise<void> {
  return withClient(terminal, flags, async ({ admin }) => {
    const queue = await admin.queues.describe(topic, flags.group);
    terminal.stdout.line(flags.output === 'json' ? JSON.stringify(queue) : queueText(queue));
  });
}

/** Makes a queue, or changes what is given, and shows its settings. @throws INVALID_ARGUMENT */
export function configureQueue(topic: string, flags: QueueConfigureFlags, terminal: Terminal): Promise<void> {
  const change = settingsChange(flags, terminal);
  return withClient(terminal, flags, async (client) => {
    const tellMissing = await noteIfMissing(client, topic, terminal);
    const settings = await client.admin.queues.configure(topic, change, flags.group);
    tellMissing();
    const { group } = flags;
    terminal.stdout.line(
      flags.output === 'json'
        ? JSON.stringify({ topic, group, settings })
        : facts([['topic', topic], ['group', group], ...settingFacts(settings)]),
    );
  });
}

/** Forgets a queue; the records stay in the topic. @throws QUEUE_NOT_FOUND */
export function deleteQueue(topic: string, flags: QueueFlags, terminal: Terminal): Promise<void> {
  return withClient(terminal, flags, async ({ admin }) => {
    const { group } = flags;
    await admin.queues.delete(topic, group);
    terminal.stdout.line(
      flags.output === 'json'
        ? JSON.stringify({ deleted: { topic, group } })
        : `deleted queue ${group} of ${topic}; its records stay`,
    );
  });
}

/** Shows the first records of each partition that are not done, without leasing them. @throws TOPIC_NOT_FOUND */
export function peekQueue(topic: string, flags: QueuePeekFlags, terminal: Terminal): Promise<void> {
  return withClient(terminal, flags, async ({ admin }) => {
    const found: BrowsedRecord[] = [];
    for await (const browsed of admin.queues.browse(topic, flags.group)) {
      if (found.push(browsed) >= flags.max) break;
    }
    terminal.stdout.line(flags.output === 'json' ? JSON.stringify(found.map(asJson)) : recordTable(found));
  });
}

function settingsChange(flags: QueueConfigureFlags, { clock }: Terminal): QueueSettingsChange {
  const { lease, backoff, maxBackoff, maxAttempts, orderedByKey, deadLetterTopic, from } = flags;
  return {
    maxAttempts,
    orderedByKey,
    deadLetterTopic,
    ...(lease !== undefined && { leaseMs: durationOption('--lease', lease) }),
    ...(backoff !== undefined && { backoffMs: durationOption('--backoff', backoff) }),
    ...(maxBackoff !== undefined && { maxBackoffMs: durationOption('--max-backoff', maxBackoff) }),
    ...(from !== undefined && { from: parseStart(from, clock, ['earliest', 'latest']) }),
  };
}

function queueTable(queues: readonly QueueSummary[]): string {
  const rows = queues.map(({ topic, group, ready, leased, delayed, coordinatorNodeId }) => [
    topic,
    group,
    ready,
    leased,
    delayed,
    coordinatorNodeId,
  ]);
  return table(['TOPIC', 'GROUP', 'READY', 'LEASED', 'DELAYED', 'COORDINATOR'], rows);
}

/** A queue as text: facts, partitions. */
export function queueText(queue: QueueDescription): string {
  const about = facts([
    ['topic', queue.topic],
    ['group', queue.group],
    ...settingFacts(queue.settings),
    ['waiting consumers', queue.waitingConsumers],
    ['coordinator', queue.coordinatorNodeId],
  ]);
  const rows = queue.partitions.map((one) => [
    one.partition,
    one.ready,
    one.leased,
    one.delayed,
    one.floor,
    one.cursor,
    one.end,
  ]);
  const headings = ['PARTITION', 'READY', 'LEASED', 'DELAYED', 'DONE BELOW', 'NEXT', 'END'];
  return `${about}\n\n${table(headings, rows)}`;
}

function settingFacts(settings: QueueSettings): [string, string | number][] {
  const { leaseMs, maxAttempts, backoffMs, maxBackoffMs, orderedByKey, deadLetterTopic } = settings;
  return [
    ['lease', duration(leaseMs)],
    ['attempts', maxAttempts === 0 ? 'without end' : maxAttempts],
    ['backoff', `${duration(backoffMs)}, doubles up to ${duration(maxBackoffMs)}`],
    ['ordered by key', orderedByKey ? 'yes' : 'no'],
    ['dead letters', deadLetterTopic],
  ];
}

function recordTable(found: readonly BrowsedRecord[]): string {
  const rows = found.map(({ record, attempts }) => [
    placeText(record),
    attempts,
    shortText(record.key),
    shortText(record.value),
  ]);
  return table(['RECORD', 'ATTEMPTS', 'KEY', 'VALUE'], rows);
}

function asJson({ record, attempts }: BrowsedRecord): Record<string, unknown> {
  return { ...recordObject(record), attempts };
}

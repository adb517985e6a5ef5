import type { Fault, TopicDescription, TopicSettings, TopicSettingsChange } from '../../client/index.ts';
import { SluiceError } from '../../kernel/errors.ts';
import { withClient } from '../connection.ts';
import type { AdminFlags } from '../declare/declare-options.ts';
import type { Cell } from '../format.ts';
import { bytes, count, duration, facts, table, timestamp } from '../format.ts';
import { parseStart } from '../records/start-position.ts';
import type { Terminal } from '../terminal.ts';
import { durationOption, sizeOption } from '../units.ts';

/** Options of `sluice topic alter`: settings that can change. */
export interface TopicFlags extends AdminFlags {
  readonly partitions?: number;
  readonly retentionBytes?: string;
  readonly retention?: string;
  readonly retentionRecords?: number;
  readonly batchMaxBytes?: string;
  readonly timestamps?: 'create' | 'append';
  readonly flush?: 'always' | 'interval' | 'os';
  readonly flushInterval?: string;
  readonly cleanup?: 'delete' | 'compact' | 'compact,delete';
  readonly tombstoneRetention?: string;
  readonly replicationFactor?: number;
  readonly minInsync?: number;
  readonly uncleanElection?: boolean;
}

/** Options of `sluice topic delete-records`. */
export interface DeleteRecordsFlags extends AdminFlags {
  readonly before: string;
  readonly partition?: number;
}

/** Options of `sluice topic create`. */
export interface TopicCreateFlags extends TopicFlags {
  readonly storage?: 'memory' | 'disk';
  readonly ifNotExists?: true;
}

/** Options of `sluice topic list`. */
export interface TopicListFlags extends AdminFlags {
  readonly internal?: true;
}

/** Creates a topic and shows it. @throws TOPIC_EXISTS */
export function createTopic(name: string, flags: TopicCreateFlags, terminal: Terminal): Promise<void> {
  const { storage } = flags;
  const settings = { ...topicSettings(flags), ...(storage !== undefined && { storage }) };
  return withClient(terminal, flags, async ({ admin }) => {
    const topic = await admin.createTopic({
      name,
      settings,
      ...partitions(flags),
      ifNotExists: flags.ifNotExists === true,
    });
    noteFlushInMemory(topic, flags, terminal);
    noteMissingCopies(topic, terminal);
    show(topic, flags, terminal);
  });
}

/** Nothing fails for it: the others are made when there are nodes for them. */
function noteMissingCopies(topic: TopicDescription, { stderr }: Terminal): void {
  const missing = missingCopies(topic);
  if (missing === 0) return;
  stderr.line(`sluice: ${missing} of ${topic.settings.replicationFactor} copies wait for nodes to keep them`);
}

/** Who says how to flush wants records to last: in memory they do not. Other values than the default the node refuses. */
function noteFlushInMemory({ settings }: TopicDescription, flags: TopicFlags, terminal: Terminal): void {
  if (flags.flush === undefined || settings.storage === 'disk') return;
  terminal.stderr.line('sluice: --flush is of no use to a topic in memory; --storage disk keeps one on disk');
}

/** Changes a topic and shows it. @throws TOPIC_NOT_FOUND; INVALID_ARGUMENT when nothing is to be changed */
export function alterTopic(name: string, flags: TopicFlags, terminal: Terminal): Promise<void> {
  const settings = topicSettings(flags);
  if (flags.partitions === undefined && Object.keys(settings).length === 0) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      'Say what to change, for instance --partitions 8. Run: sluice topic alter --help',
    );
  }
  return withClient(terminal, flags, async ({ admin }) => {
    show(await admin.alterTopic({ name, settings, ...partitions(flags) }), flags, terminal);
  });
}

/** Lists the topics that the principal may see. */
export function listTopics(flags: TopicListFlags, terminal: Terminal): Promise<void> {
  return withClient(terminal, flags, async ({ admin }) => {
    const topics = await admin.listTopics({ internal: flags.internal === true });
    terminal.stdout.line(flags.output === 'json' ? JSON.stringify(topics) : topicTable(topics));
  });
}

/** Shows settings and partitions. @throws TOPIC_NOT_FOUND */
export function describeTopic(name: string, flags: AdminFlags, terminal: Terminal): Promise<void> {
  return withClient(terminal, flags, async ({ admin }) => {
    show(await admin.describeTopic(name), flags, terminal);
  });
}

/** Deletes topics, one after the other. @throws TOPIC_NOT_FOUND at the first that does not exist */
export function deleteTopics(names: readonly string[], flags: AdminFlags, terminal: Terminal): Promise<void> {
  return withClient(terminal, flags, async ({ admin }) => {
    for (const name of names) await admin.deleteTopic(name);
    terminal.stdout.line(
      flags.output === 'json' ? JSON.stringify({ deleted: names }) : `deleted ${names.join(', ')}`,
    );
  });
}

/** Deletes the oldest records of a topic and shows where its partitions begin now. @throws TOPIC_NOT_FOUND, INVALID_ARGUMENT */
export function deleteRecords(name: string, flags: DeleteRecordsFlags, terminal: Terminal): Promise<void> {
  const before = parseStart(flags.before, terminal.clock, ['latest']);
  return withClient(terminal, flags, async ({ admin }) => {
    const partitions = flags.partition === undefined ? [] : [flags.partition];
    const starts = await admin.deleteRecords(name, before, partitions);
    const rows = starts.map(({ partition, offset }) => [partition, offset]);
    terminal.stdout.line(
      flags.output === 'json' ? JSON.stringify(starts) : table(['PARTITION', 'START'], rows),
    );
  });
}

/** Topics as rows. */
export function topicTable(topics: readonly TopicDescription[]): string {
  const rows = topics.map(({ name, settings, partitions: parts, error }) => [
    name,
    parts.length,
    recordsText(settings, sum(parts.map(({ logStart, highWatermark }) => highWatermark - logStart))),
    bytes(sum(parts.map(({ retainedBytes }) => retainedBytes))),
    sum(parts.map(({ subscribers }) => subscribers)),
    storageText(settings.storage, error ?? parts.find((one) => one.error)?.error),
  ]);
  return table(['TOPIC', 'PARTITIONS', 'RECORDS', 'RETAINED', 'READERS', 'STORAGE'], rows);
}

/** Compaction leaves holes between the offsets: then nobody knows the number without counting. */
function recordsText({ cleanup }: TopicSettings, offsets: number): Cell {
  return cleanup === 'delete' ? offsets : `<= ${count(offsets)}`;
}

function storageText(storage: string, error: Fault | undefined): string {
  return error ? `${storage}, fails: ${error.code}` : storage;
}

function show(topic: TopicDescription, flags: AdminFlags, terminal: Terminal): void {
  terminal.stdout.line(flags.output === 'json' ? JSON.stringify(topic) : topicText(topic));
}

/** Settings and partitions of a topic. */
export function topicText(topic: TopicDescription): string {
  const { settings } = topic;
  const bound = (value: number, text: (value: number) => string): string =>
    value === 0 ? 'no bound' : text(value);
  const about = facts([
    ['topic', topic.name],
    ['id', topic.id],
    ['created', timestamp(topic.createdMs)],
    ['storage', settings.storage],
    ...(settings.storage === 'disk' ? diskFacts(topic) : []),
    ['retention bytes', bound(settings.retentionBytes, (size) => `${bytes(size)} per partition`)],
    ['retention', bound(settings.retentionMs, duration)],
    ['retention records', bound(settings.retentionRecords, (n) => `${count(n)} per partition`)],
    ['largest batch', bytes(settings.batchMaxBytes)],
    ['timestamps', settings.timestamps],
    ['copies', copiesText(topic)],
    ...faultFacts(topic),
  ]);
  const isCopied = topic.partitions.some(({ replicas }) => replicas.length > 1);
  const rows = topic.partitions.map((one) => [
    one.partition,
    one.leaderNodeId === '' ? 'none' : one.leaderNodeId,
    one.leaderEpoch,
    ...(isCopied ? [one.replicas.join(','), one.isr.join(',')] : []),
    one.logStart,
    one.highWatermark,
    bytes(one.retainedBytes),
    one.subscribers,
  ]);
  const copies = isCopied ? ['REPLICAS', 'IN SYNC'] : [];
  return `${about}\n\n${table(['PARTITION', 'LEADER', 'EPOCH', ...copies, 'START', 'END', 'RETAINED', 'READERS'], rows)}`;
}

function copiesText(topic: TopicDescription): string {
  const { replicationFactor, minInsync, uncleanElection } = topic.settings;
  if (replicationFactor === 1) return '1';
  const unclean = uncleanElection ? ', unclean election allowed' : '';
  const missing = missingCopies(topic);
  const waiting = missing === 0 ? '' : `, ${missing} of them missing for want of nodes`;
  return `${replicationFactor}${waiting}, ${minInsync} in sync to take a publish${unclean}`;
}

/** Copies that no node has been named for, of the partition that lacks most; one that has not been placed yet does not count. */
function missingCopies({ settings, partitions: parts }: TopicDescription): number {
  const placed = parts.map(({ replicas }) => replicas.length).filter((copies) => copies > 0);
  return Math.max(0, ...placed.map((copies) => settings.replicationFactor - copies));
}

function diskFacts({ settings, partitions: parts }: TopicDescription): [string, string][] {
  const { flush, flushIntervalMs, cleanup, tombstoneMs } = settings;
  return [
    ['on disk', bytes(sum(parts.map(({ retainedBytes }) => retainedBytes)))],
    ['flush', flush === 'interval' ? `every ${duration(flushIntervalMs)}` : flush],
    ['cleanup', cleanup === 'delete' ? cleanup : `${cleanup}, tombstones kept ${duration(tombstoneMs)}`],
  ];
}

function faultFacts({ error, partitions: parts }: TopicDescription): [string, string][] {
  const faults = parts.flatMap((one): [string, string][] =>
    one.error ? [[`partition ${one.partition} fails`, `${one.error.code}: ${one.error.message}`]] : [],
  );
  return error ? [['fails', `${error.code}: ${error.message}`], ...faults] : faults;
}

function partitions(flags: TopicFlags): { partitions?: number } {
  return flags.partitions === undefined ? {} : { partitions: flags.partitions };
}

function topicSettings(flags: TopicFlags): TopicSettingsChange {
  const { retentionBytes, retention, retentionRecords, batchMaxBytes, timestamps } = flags;
  const { flush, flushInterval, cleanup, tombstoneRetention } = flags;
  return {
    ...(timestamps !== undefined && { timestamps }),
    ...(retentionRecords !== undefined && { retentionRecords }),
    ...(retentionBytes !== undefined && { retentionBytes: sizeOption('--retention-bytes', retentionBytes) }),
    ...(retention !== undefined && { retentionMs: durationOption('--retention', retention) }),
    ...(batchMaxBytes !== undefined && { batchMaxBytes: sizeOption('--batch-max-bytes', batchMaxBytes) }),
    ...(flush !== undefined && { flush }),
    ...(flushInterval !== undefined && {
      flushIntervalMs: durationOption('--flush-interval', flushInterval),
    }),
    ...(cleanup !== undefined && { cleanup }),
    ...(tombstoneRetention !== undefined && {
      tombstoneMs: durationOption('--tombstone-retention', tombstoneRetention),
    }),
    ...replicationSettings(flags),
  };
}

function replicationSettings(flags: TopicFlags): TopicSettingsChange {
  const { replicationFactor, minInsync, uncleanElection } = flags;
  return {
    ...(replicationFactor !== undefined && { replicationFactor }),
    ...(minInsync !== undefined && { minInsync }),
    ...(uncleanElection !== undefined && { uncleanElection }),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

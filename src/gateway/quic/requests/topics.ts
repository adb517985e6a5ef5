import type { Fault, TopicDescription, TopicMetadata } from '../../../broker/views.ts';
import type { TopicSettingsChange } from '../../../catalog/topic-settings.ts';
import type { TopicSettings } from '../../../gen/sluice/client/v1/administration_pb.ts';
import { ERRORS, SluiceError } from '../../../kernel/errors.ts';
import { startFromWire } from '../../../partition/start-wire.ts';
import { numberFromWire, numberToWire, offsetToWire } from '../../../wire/offset.ts';
import { nodeToWire, positionToWire } from './convert.ts';
import type { RequestHandlers, ResponseValue } from './handler.ts';

/** Requests about topics and their partitions. */
export const topicHandlers: RequestHandlers<
  | 'metadata'
  | 'createTopic'
  | 'alterTopic'
  | 'deleteTopic'
  | 'listTopics'
  | 'describeTopic'
  | 'listOffsets'
  | 'deleteRecords'
> = {
  async metadata(session, { topics, autoCreate }) {
    const { broker, node } = session.context;
    const found = await broker.metadata(session.requireIdentity(), topics, autoCreate);
    return { topics: found.map(metadataToWire), nodes: node.nodes().map(nodeToWire) };
  },
  async createTopic(session, { name, partitions, settings, ifNotExists }) {
    const topic = await session.context.broker.createTopic(session.requirePrincipal(), {
      name,
      partitions: partitions === 0 ? undefined : partitions,
      settings: settings && settingsFromWire(settings),
      ifNotExists,
    });
    return { topic: topicToWire(topic) };
  },
  async alterTopic(session, { name, partitions, settings }) {
    const topic = await session.context.broker.alterTopic(session.requirePrincipal(), {
      name,
      partitions: partitions === 0 ? undefined : partitions,
      settings: settings && settingsFromWire(settings),
    });
    return { topic: topicToWire(topic) };
  },
  async deleteTopic(session, { name }) {
    await session.context.broker.deleteTopic(session.requirePrincipal(), name);
    return {};
  },
  async listTopics(session, { internal }) {
    const topics = await session.context.broker.listTopics(session.requireIdentity(), { internal });
    return { topics: topics.map(topicToWire) };
  },
  async describeTopic(session, { name }) {
    const topic = await session.context.broker.describeTopic(session.requireIdentity(), name);
    return { topic: topicToWire(topic) };
  },
  async listOffsets(session, { topic, partitions, at }, channel) {
    const start = startFromWire(at);
    if (start.at === 'last-per-key') {
      throw new SluiceError('INVALID_ARGUMENT', 'last_per_key is no single offset');
    }
    const { broker } = session.context;
    const asker = {
      get gone() {
        return channel.signal;
      },
    };
    const positions = await broker.listOffsets(session.requireIdentity(), topic, partitions, start, asker);
    return { positions: positions.map(positionToWire) };
  },
  async deleteRecords(session, { topic, partitions, before }) {
    // Nothing said is no order to delete everything.
    if (before?.at.case === undefined) throw new SluiceError('INVALID_ARGUMENT', 'before is missing');
    const start = startFromWire(before);
    const { broker } = session.context;
    const positions = await broker.deleteRecords(session.requirePrincipal(), topic, partitions, start);
    return { positions: positions.map(positionToWire) };
  },
};

function metadataToWire({ name, error, partitions }: TopicMetadata) {
  return {
    name,
    ...faultToWire(error),
    partitions: partitions.map(({ partition, leaderNodeId, leaderEpoch }) => ({
      partition,
      leaderNodeId,
      leaderEpoch,
    })),
  };
}

function topicToWire(topic: TopicDescription): NonNullable<ResponseValue<'describeTopic'>['topic']> {
  const { settings } = topic;
  return {
    name: topic.name,
    id: topic.id,
    settings: {
      storage: settings.storage,
      retentionBytes: numberToWire(settings.retentionBytes),
      retentionMs: numberToWire(settings.retentionMs),
      retentionRecords: numberToWire(settings.retentionRecords),
      batchMaxBytes: settings.batchMaxBytes,
      timestamps: settings.timestamps,
      flush: settings.flush,
      flushIntervalMs: numberToWire(settings.flushIntervalMs),
      cleanup: settings.cleanup,
      tombstoneMs: numberToWire(settings.tombstoneMs),
      replicationFactor: settings.replicationFactor,
      minInsync: settings.minInsync,
      uncleanElection: settings.uncleanElection,
    },
    partitions: topic.partitions.map(({ error, ...partition }) => ({
      ...partition,
      ...faultToWire(error),
      replicas: [...partition.replicas],
      isr: [...partition.isr],
      logStart: offsetToWire(partition.logStart),
      highWatermark: offsetToWire(partition.highWatermark),
      logEnd: offsetToWire(partition.logEnd),
      retainedBytes: numberToWire(partition.retainedBytes),
    })),
    createdMs: numberToWire(topic.createdMs),
    ...faultToWire(topic.error),
  };
}

function faultToWire(error: Fault | undefined): { errorCode: number; errorMessage: string } {
  return { errorCode: error ? ERRORS[error.code].wire : 0, errorMessage: error?.message ?? '' };
}

function settingsFromWire(settings: TopicSettings): TopicSettingsChange {
  const { retentionBytes, retentionMs, retentionRecords } = settings;
  return {
    storage: oneOf('storage', settings.storage, ['memory', 'disk']),
    retentionBytes: optionalNumber('retention_bytes', retentionBytes),
    retentionMs: optionalNumber('retention_ms', retentionMs),
    retentionRecords: optionalNumber('retention_records', retentionRecords),
    batchMaxBytes: settings.batchMaxBytes,
    timestamps: oneOf('timestamps', settings.timestamps, ['create', 'append']),
    flush: oneOf('flush', settings.flush, ['always', 'interval', 'os']),
    flushIntervalMs: optionalNumber('flush_interval_ms', settings.flushIntervalMs),
    cleanup: oneOf('cleanup', settings.cleanup, ['delete', 'compact', 'compact,delete']),
    tombstoneMs: optionalNumber('tombstone_ms', settings.tombstoneMs),
    replicationFactor: settings.replicationFactor,
    minInsync: settings.minInsync,
    uncleanElection: settings.uncleanElection,
  };
}

function optionalNumber(field: string, value: bigint | undefined): number | undefined {
  return value === undefined ? undefined : numberFromWire(field, value);
}

/** @throws INVALID_ARGUMENT when `value` is none of `choices` */
function oneOf<T extends string>(
  field: string,
  value: string | undefined,
  choices: readonly T[],
): T | undefined {
  if (value === undefined) return undefined;
  const choice = choices.find((candidate) => candidate === value);
  if (choice !== undefined) return choice;
  throw new SluiceError('INVALID_ARGUMENT', `${field} is one of ${choices.join(', ')}`);
}

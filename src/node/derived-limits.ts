import { totalmem } from 'node:os';
import type { TopicDefaults } from '../broker/views.ts';
import { BATCH_MAX_BYTES_LIMIT } from '../catalog/topic-settings.ts';
import type { Settings } from '../config/settings.ts';
import type { GatewayLimits } from '../gateway/quic/limits.ts';
import type { TransportLimits } from '../transport/transport.ts';

const MiB = 1024 * 1024;

/**
 * What a client may send ahead on a whole connection, in stream windows. The node reads everything at once, except streams of a
 * client that does not read its own answers: so this bounds what one hostile client can make it hold, and stalls nobody else.
 */
const CONNECTION_WINDOW_STREAMS = 128;

const MAX_TOPICS = 10_000;
const MAX_PARTITIONS = 4096;

/** Limits of the node's listeners. */
export function transportLimits({ limits }: Settings): TransportLimits {
  return {
    streamWindowBytes: limits.streamWindowBytes,
    connectionWindowBytes: limits.streamWindowBytes * CONNECTION_WINDOW_STREAMS,
    maxStreams: limits.maxStreams,
    idleTimeoutMs: limits.idleTimeoutMs,
    keepAliveMs: limits.keepAliveMs,
    handshakeTimeoutMs: limits.handshakeTimeoutMs,
    maxConnections: limits.maxConnections,
  };
}

/** Limits of the native gateway that are configured. */
export function gatewayLimits({ limits, drain }: Settings): Partial<GatewayLimits> {
  return {
    maxFrameBytes: limits.maxFrameBytes,
    maxBatchBytes: Math.min(BATCH_MAX_BYTES_LIMIT, limits.batchMaxBytes),
    maxInflatedBytes: limits.inflatedMaxBytes,
    maxKeyBytes: limits.keyMaxBytes,
    drainTimeoutMs: drain.timeoutMs,
  };
}

/** What topics are like that nobody configured one by one. */
export function topicDefaults({ topics, limits }: Settings): TopicDefaults {
  const { defaults } = topics;
  return {
    autoCreate: topics.autoCreate,
    partitions: defaults.partitions,
    settings: {
      storage: defaults.storage,
      retentionBytes: defaults.retentionBytes,
      retentionMs: defaults.retentionAgeMs ?? 0,
      retentionRecords: defaults.retentionRecords ?? 0,
      batchMaxBytes: limits.batchMaxBytes,
      timestamps: 'create',
    },
    maxTopics: MAX_TOPICS,
    maxPartitions: MAX_PARTITIONS,
  };
}

/** What all partitions in memory may retain together: half of what the machine, or the container, has. */
export function memoryLogBytes(): number {
  const constrained = process.constrainedMemory();
  const available = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return Math.max(64 * MiB, Math.floor(available / 2));
}

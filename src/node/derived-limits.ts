import { totalmem } from 'node:os';
import type { TopicDefaults } from '../broker/views.ts';
import { BATCH_MAX_BYTES_LIMIT } from '../catalog/topic-settings.ts';
import type { Settings } from '../config/settings.ts';
import type { GatewayLimits } from '../gateway/quic/limits.ts';
import type { DiskLimits } from '../log/disk/disk-shared.ts';
import type { TransportLimits } from '../transport/transport.ts';

const MiB = 1024 * 1024;

/**
 * What a client may send ahead on a whole connection, in stream windows. The node reads everything at once, except streams of a
 * client that does not read its own answers: so this bounds what one hostile client can make it hold, and stalls nobody else.
 */
const CONNECTION_WINDOW_STREAMS = 128;

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
      retentionBytes: defaults.retentionBytes ?? 0,
      retentionMs: defaults.retentionAgeMs ?? 0,
      retentionRecords: defaults.retentionRecords ?? 0,
      batchMaxBytes: limits.batchMaxBytes,
      timestamps: 'create',
      flush: defaults.flush,
      flushIntervalMs: defaults.flushIntervalMs,
      cleanup: defaults.cleanup,
      tombstoneMs: defaults.tombstoneRetentionMs,
      replicationFactor: defaults.replicationFactor,
      minInsync: defaults.minInsync,
      uncleanElection: false,
    },
    maxTopics: topics.maxTopics,
    maxPartitions: topics.maxPartitions,
  };
}

/** What all partitions on disk share. */
export function diskLimits({ storage }: Settings): DiskLimits {
  return {
    tailBytes: storage.tailBytes,
    unwrittenBytes: storage.writeBytes,
    indexCacheBytes: storage.indexCacheBytes,
    openFiles: storage.openFiles,
  };
}

/** What all partitions in memory may retain together; unless configured half of what the machine, or the container, has. */
export function memoryLogBytes({ storage }: Settings): number {
  if (storage.memoryBytes !== null) return storage.memoryBytes;
  const constrained = process.constrainedMemory();
  const available = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return Math.max(64 * MiB, Math.floor(available / 2));
}

import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import type { TopicDefaults } from '../broker/views.ts';
import { BATCH_MAX_BYTES_LIMIT } from '../catalog/topic-settings.ts';
import type { Settings } from '../config/settings.ts';
import type { GrpcGatewayLimits } from '../gateway/grpc/grpc-gateway.ts';
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

/** Larger requests than a single message needs: several may come in one. */
const GRPC_MESSAGE_LEAST_BYTES = 4 * MiB;
/** Messages of all clients that have arrived and are not done with, bytes. */
const GRPC_HELD_MAX_BYTES = 128 * MiB;
/** Calls of all clients at once. */
const GRPC_CALLS_MAX = 16_384;
/** What a message takes besides body and key. */
const GRPC_MESSAGE_OVERHEAD_BYTES = 64 * 1024;

/** Limits of the gRPC gateway. */
export function grpcLimits({ limits }: Settings): GrpcGatewayLimits {
  const { batchMaxBytes, keyMaxBytes, idleTimeoutMs, keepAliveMs } = limits;
  return {
    maxKeyBytes: keyMaxBytes,
    maxInflatedBytes: limits.inflatedMaxBytes,
    maxMessageBytes: Math.max(
      GRPC_MESSAGE_LEAST_BYTES,
      Math.min(BATCH_MAX_BYTES_LIMIT, batchMaxBytes) + keyMaxBytes + GRPC_MESSAGE_OVERHEAD_BYTES,
    ),
    windowBytes: limits.streamWindowBytes,
    // Without keep-alive a dead connection is still found out.
    keepAliveMs: keepAliveMs === 0 ? idleTimeoutMs : keepAliveMs,
    keepAliveTimeoutMs: idleTimeoutMs,
    maxStreams: limits.maxStreams,
    maxHeldBytes: GRPC_HELD_MAX_BYTES,
    maxCalls: GRPC_CALLS_MAX,
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

/** More would be of use to few, and a coordinator that takes over what another held needs room as well. */
const QUEUE_STATE_MAX_BYTES = 512 * MiB;

/** What the states of all queues may take together; unless configured a quarter of the heap, where they lie: it ends with the process when it is full. */
export function queueStateBytes({ groups }: Settings): number {
  const quarter = Math.floor(getHeapStatistics().heap_size_limit / 4);
  return groups.maxQueueStateBytes ?? Math.min(QUEUE_STATE_MAX_BYTES, quarter);
}

/** More makes nothing faster: a partition reads 256 KiB ahead. */
const QUEUE_BATCH_MAX_BYTES = 256 * MiB;

/** Batches that all queues may have at hand; they do not lie in the heap, but how large that may be says how much the process was given. */
export function queueBatchBytes(): number {
  return Math.min(QUEUE_BATCH_MAX_BYTES, Math.floor(getHeapStatistics().heap_size_limit / 8));
}

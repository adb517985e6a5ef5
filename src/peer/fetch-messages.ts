import type { FetchedPartition as WireFetched } from '../gen/sluice/peer/v1/replication_pb.ts';
import { ReplicateRequestSchema, ReplicateResponseSchema } from '../gen/sluice/peer/v1/replication_pb.ts';
import { SluiceError } from '../kernel/errors.ts';
import type {
  FetchPosition,
  FetchRequest,
  FetchResponse,
  FetchedPartition,
} from '../partition/replication.ts';
import type { MessageCodec } from '../transport/grpc/rpc-method.ts';
import { decodeMessage, encodeMessage, encodeWithBatches } from '../transport/grpc/rpc-method.ts';
import { asBuffer, ownMemory } from './own-memory.ts';
import { codeFromWire, codeToWire, toNumber } from './wire-values.ts';

/** What a follower asks, as a message. */
export const fetchRequestCodec: MessageCodec<FetchRequest> = {
  encode: ({ sessionId, sequence, received, changed, forgotten, maxBytes, maxWaitMs }) =>
    encodeMessage(ReplicateRequestSchema, {
      sessionId: BigInt(sessionId),
      sequence: BigInt(sequence),
      received: BigInt(received),
      changed: changed.map(({ fetchOffset, durableOffset, durableStart, ...position }) => ({
        ...position,
        fetchOffset: BigInt(fetchOffset),
        durableOffset: BigInt(durableOffset),
        durableStart: BigInt(durableStart),
      })),
      forgotten: [...forgotten],
      maxBytes,
      maxWaitMs,
    }),
  decode: (bytes) => {
    const message = decodeMessage(ReplicateRequestSchema, bytes);
    return {
      sessionId: toNumber(message.sessionId),
      sequence: toNumber(message.sequence),
      received: toNumber(message.received),
      changed: message.changed.map(
        ({
          topicId,
          partition,
          leaderEpoch,
          fetchOffset,
          durableOffset,
          lastEpoch,
          durableStart,
          unread,
        }): FetchPosition => ({
          topicId,
          partition,
          leaderEpoch,
          fetchOffset: toNumber(fetchOffset),
          durableOffset: toNumber(durableOffset),
          lastEpoch,
          durableStart: toNumber(durableStart),
          unread,
        }),
      ),
      forgotten: message.forgotten.map(({ topicId, partition }) => ({ topicId, partition })),
      maxBytes: message.maxBytes,
      maxWaitMs: message.maxWaitMs,
    };
  },
};

/** What a leader answers, as a message. */
export const fetchResponseCodec: MessageCodec<FetchResponse> = {
  encode: ({ sessionId, sequence, error, partitions }) =>
    encodeWithBatches(
      ReplicateResponseSchema,
      {
        sessionId: BigInt(sessionId),
        sequence: BigInt(sequence),
        errorCode: codeToWire(error),
        partitions: partitions.map(fetchedToWire),
      },
      partitions.flatMap(({ batches }) => batches),
    ),
  decode: (bytes) => {
    const { sessionId, sequence, errorCode, partitions, batches } = decodeMessage(
      ReplicateResponseSchema,
      bytes,
    );
    let next = 0;
    const fetched = partitions.map((partition) => {
      const own = batches.slice(next, next + partition.batchCount).map(asBuffer);
      next += partition.batchCount;
      return fetchedFromWire(partition, ownMemory(own, bytes.length));
    });
    if (next !== batches.length) {
      throw new SluiceError('PROTOCOL_ERROR', `${batches.length} batches came where ${next} were announced`);
    }
    return {
      sessionId: toNumber(sessionId),
      sequence: toNumber(sequence),
      ...codeFromWire(errorCode),
      partitions: fetched,
    };
  },
};

function fetchedToWire({ error, diverging, batches, ...partition }: FetchedPartition) {
  return {
    topicId: partition.topicId,
    partition: partition.partition,
    leaderEpoch: partition.leaderEpoch,
    errorCode: codeToWire(error),
    ...(diverging && {
      diverging: { epoch: diverging.epoch, endOffset: BigInt(diverging.endOffset) },
    }),
    logStart: BigInt(partition.logStart),
    logEnd: BigInt(partition.logEnd),
    highWatermark: BigInt(partition.highWatermark),
    batchCount: batches.length,
  };
}

function fetchedFromWire(
  { topicId, partition, leaderEpoch, errorCode, diverging, ...ends }: WireFetched,
  batches: readonly Buffer[],
): FetchedPartition {
  return {
    topicId,
    partition,
    leaderEpoch,
    ...codeFromWire(errorCode),
    ...(diverging && {
      diverging: { epoch: diverging.epoch, endOffset: toNumber(diverging.endOffset) },
    }),
    logStart: toNumber(ends.logStart),
    logEnd: toNumber(ends.logEnd),
    highWatermark: toNumber(ends.highWatermark),
    batches,
  };
}

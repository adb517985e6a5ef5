import {
  DeleteRecordsRequestSchema,
  DeleteRecordsResponseSchema,
  DescribePartitionsRequestSchema,
  DescribePartitionsResponseSchema,
  ListOffsetsRequestSchema,
  ListOffsetsResponseSchema,
} from '../gen/sluice/peer/v1/peer_pb.ts';
import type { PartitionFacts as WireFacts, PartitionOffset } from '../gen/sluice/peer/v1/peer_pb.ts';
import type { PartitionRef as WireRef } from '../gen/sluice/peer/v1/replication_pb.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { Start } from '../partition/reader.ts';
import type { PartitionRef } from '../partition/replication.ts';
import { startToWire } from '../partition/start-wire.ts';
import type { MessageCodec } from '../transport/grpc/rpc-method.ts';
import { decodeMessage, encodeMessage } from '../transport/grpc/rpc-method.ts';
import type { PartitionFacts } from './ports.ts';
import { errorFromWire, errorToWire, startFromPeer, toNumber } from './wire-values.ts';

/** A question to partitions about a place in them. */
export interface PlaceRequest {
  readonly partitions: readonly PartitionRef[];
  readonly start: Start;
}

/** Which partitions are to be described, as a message. */
export const describeRequestCodec: MessageCodec<readonly PartitionRef[]> = {
  encode: (partitions) =>
    encodeMessage(DescribePartitionsRequestSchema, { partitions: partitions.map(refToWire) }),
  decode: (bytes) => decodeMessage(DescribePartitionsRequestSchema, bytes).partitions.map(refToWire),
};

/** How partitions are, as a message. */
export const describeResponseCodec: MessageCodec<readonly (PartitionFacts | SluiceError)[]> = {
  encode: (facts) => encodeMessage(DescribePartitionsResponseSchema, { partitions: facts.map(factsToWire) }),
  decode: (bytes) => decodeMessage(DescribePartitionsResponseSchema, bytes).partitions.map(factsFromWire),
};

/** A question for offsets, as a message. */
export const listOffsetsRequestCodec: MessageCodec<PlaceRequest> = {
  encode: ({ partitions, start }) =>
    encodeMessage(ListOffsetsRequestSchema, {
      partitions: partitions.map(refToWire),
      at: startToWire(start),
    }),
  decode: (bytes) => {
    const { partitions, at } = decodeMessage(ListOffsetsRequestSchema, bytes);
    return { partitions: partitions.map(refToWire), start: startFromPeer(at) };
  },
};

/** An order to delete, as a message. */
export const deleteRecordsRequestCodec: MessageCodec<PlaceRequest> = {
  encode: ({ partitions, start }) =>
    encodeMessage(DeleteRecordsRequestSchema, {
      partitions: partitions.map(refToWire),
      before: startToWire(start),
    }),
  decode: (bytes) => {
    const { partitions, before } = decodeMessage(DeleteRecordsRequestSchema, bytes);
    return { partitions: partitions.map(refToWire), start: startFromPeer(before) };
  },
};

type Offsets = readonly (number | SluiceError)[];

/** Offsets, as a message. */
export const listOffsetsResponseCodec: MessageCodec<Offsets> = {
  encode: (offsets) => encodeMessage(ListOffsetsResponseSchema, { partitions: offsets.map(offsetToWire) }),
  decode: (bytes) => decodeMessage(ListOffsetsResponseSchema, bytes).partitions.map(offsetFromWire),
};

/** Where partitions begin now, as a message. */
export const deleteRecordsResponseCodec: MessageCodec<Offsets> = {
  encode: (offsets) => encodeMessage(DeleteRecordsResponseSchema, { partitions: offsets.map(offsetToWire) }),
  decode: (bytes) => decodeMessage(DeleteRecordsResponseSchema, bytes).partitions.map(offsetFromWire),
};

function refToWire({ topicId, partition }: PartitionRef | WireRef) {
  return { topicId, partition };
}

function factsToWire(facts: PartitionFacts | SluiceError) {
  if (facts instanceof SluiceError) return errorToWire(facts);
  const { leaderEpoch, logStart, highWatermark, logEnd, retainedBytes, subscribers } = facts;
  return {
    leaderEpoch,
    logStart: BigInt(logStart),
    highWatermark: BigInt(highWatermark),
    logEnd: BigInt(logEnd),
    retainedBytes: BigInt(retainedBytes),
    subscribers,
  };
}

function factsFromWire(facts: WireFacts): PartitionFacts | SluiceError {
  const { leaderEpoch, logStart, highWatermark, logEnd, retainedBytes, subscribers } = facts;
  return (
    errorFromWire(facts) ?? {
      leaderEpoch,
      logStart: toNumber(logStart),
      highWatermark: toNumber(highWatermark),
      logEnd: toNumber(logEnd),
      retainedBytes: toNumber(retainedBytes),
      subscribers,
    }
  );
}

function offsetToWire(offset: number | SluiceError) {
  return offset instanceof SluiceError ? errorToWire(offset) : { offset: BigInt(offset) };
}

function offsetFromWire(answer: PartitionOffset): number | SluiceError {
  return errorFromWire(answer) ?? toNumber(answer.offset);
}

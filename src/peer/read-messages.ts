import { ReadRequestSchema, ReadResponseSchema } from '../gen/sluice/peer/v1/peer_pb.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { MessageCodec } from '../transport/grpc/rpc-method.ts';
import { decodeMessage, encodeMessage, encodeWithBatches } from '../transport/grpc/rpc-method.ts';
import { asBuffer } from './own-memory.ts';
import type { ReadAnswer, ReadRequest } from './ports.ts';
import { errorFromWire, errorToWire, toNumber } from './wire-values.ts';

/** A read on its way. */
export interface ReadQuestion {
  /** u32. */
  readonly correlation: number;
  readonly request: ReadRequest;
}

/** What came of it. */
export interface ReadOutcome {
  /** Of the question. */
  readonly correlation: number;
  readonly answer: ReadAnswer | SluiceError;
}

/** What is to be read, as a message. */
export const readRequestCodec: MessageCodec<ReadQuestion> = {
  encode: ({ correlation, request: { offset, upTo, lastEpoch, feeds = false, observed = false, ...rest } }) =>
    encodeMessage(ReadRequestSchema, {
      ...{ ...rest, correlation, feeds, observed },
      offset: BigInt(offset),
      ...(upTo !== undefined && { upTo: BigInt(upTo) }),
      ...(lastEpoch !== undefined && { lastEpoch }),
    }),
  decode: (bytes) => {
    const message = decodeMessage(ReadRequestSchema, bytes);
    const { correlation, topicId, partition, offset, upTo, lastEpoch } = message;
    const { maxBytes, maxWaitMs, feeds, observed } = message;
    const request = {
      ...{ topicId, partition, offset: toNumber(offset), maxBytes, maxWaitMs, feeds, observed },
      ...(upTo !== undefined && { upTo: toNumber(upTo) }),
      ...(lastEpoch !== undefined && { lastEpoch }),
    };
    return { correlation, request };
  },
};

/** What was read, as a message. */
export const readResponseCodec: MessageCodec<ReadOutcome> = {
  encode: ({ correlation, answer }) => {
    if (answer instanceof SluiceError) {
      return encodeMessage(ReadResponseSchema, { correlation, ...errorToWire(answer) });
    }
    const { leaderEpoch, logStart, highWatermark, logEnd, diverging, nearer = '', batches } = answer;
    return encodeWithBatches(
      ReadResponseSchema,
      {
        ...{ correlation, leaderEpoch, nearer },
        logStart: BigInt(logStart),
        highWatermark: BigInt(highWatermark),
        logEnd: BigInt(logEnd),
        ...(diverging && {
          diverging: { epoch: diverging.epoch, endOffset: BigInt(diverging.endOffset) },
        }),
      },
      batches,
    );
  },
  decode: (bytes) => {
    const message = decodeMessage(ReadResponseSchema, bytes);
    const { correlation, leaderEpoch, logStart, highWatermark, logEnd, diverging, nearer } = message;
    const error = errorFromWire(message);
    if (error) return { correlation, answer: error };
    const answer = {
      leaderEpoch,
      logStart: toNumber(logStart),
      highWatermark: toNumber(highWatermark),
      logEnd: toNumber(logEnd),
      ...(diverging && {
        diverging: { epoch: diverging.epoch, endOffset: toNumber(diverging.endOffset) },
      }),
      ...(nearer !== '' && { nearer }),
      batches: message.batches.map(asBuffer),
    };
    return { correlation, answer };
  },
};

import { ForwardRequestSchema, ForwardResponseSchema } from '../gen/sluice/peer/v1/forwarding_pb.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { MessageCodec } from '../transport/grpc/rpc-method.ts';
import { decodeMessage, encodeMessage, encodeWithBatches } from '../transport/grpc/rpc-method.ts';
import type { Acks } from '../wire/produce.ts';
import { asBuffer, ownMemory } from './own-memory.ts';
import type { ForwardOutcome, ForwardedPublish } from './ports.ts';
import { errorFromWire, errorToWire, toNumber } from './wire-values.ts';

/** Publishes that travel together. */
export interface ForwardRequest {
  /** Of the first; the others have the numbers after it, modulo 2^32. */
  readonly firstCorrelation: number;
  readonly publishes: readonly ForwardedPublish[];
}

/** Answer to one publish. */
export interface ForwardAnswer {
  readonly correlation: number;
  readonly answer: ForwardOutcome | SluiceError;
}

/** Correlations are u32. */
export function correlationAfter(correlation: number, count: number): number {
  return (correlation + count) >>> 0;
}

/** Publishes as a message. */
export const forwardRequestCodec: MessageCodec<ForwardRequest> = {
  encode: ({ firstCorrelation, publishes }) =>
    encodeWithBatches(
      ForwardRequestSchema,
      {
        firstCorrelation,
        publishes: publishes.map(({ topicId, partition, leaderEpoch, acks }) => ({
          topicId,
          partition,
          leaderEpoch,
          acks,
        })),
      },
      publishes.map(({ batch }) => batch),
    ),
  decode: (bytes) => {
    const { firstCorrelation, publishes, batches } = decodeMessage(ForwardRequestSchema, bytes);
    if (publishes.length !== batches.length) {
      throw new SluiceError(
        'PROTOCOL_ERROR',
        `${publishes.length} publishes came with ${batches.length} batches`,
      );
    }
    return {
      firstCorrelation,
      publishes: publishes.map(({ topicId, partition, leaderEpoch, acks }, index) => ({
        topicId,
        partition,
        leaderEpoch,
        acks: toAcks(acks),
        batch: ownMemory([asBuffer(batches[index]!)], bytes.length)[0]!,
      })),
    };
  },
};

/** Answers as a message. */
export const forwardResponseCodec: MessageCodec<readonly ForwardAnswer[]> = {
  encode: (answers) => encodeMessage(ForwardResponseSchema, { outcomes: answers.map(answerToWire) }),
  decode: (bytes) =>
    decodeMessage(ForwardResponseSchema, bytes).outcomes.map((outcome): ForwardAnswer => {
      const { correlation, duplicate } = outcome;
      const error = errorFromWire(outcome);
      if (error) return { correlation, answer: error };
      const kind = duplicate ? 'duplicate' : 'appended';
      const baseOffset = toNumber(outcome.baseOffset);
      return { correlation, answer: { kind, baseOffset, appendTimeMs: toNumber(outcome.appendTimeMs) } };
    }),
};

function answerToWire({ correlation, answer }: ForwardAnswer) {
  if (answer instanceof SluiceError) return { correlation, ...errorToWire(answer) };
  return {
    correlation,
    duplicate: answer.kind === 'duplicate',
    baseOffset: BigInt(answer.baseOffset),
    appendTimeMs: BigInt(answer.appendTimeMs),
  };
}

function toAcks(acks: number): Acks {
  if (acks === 0 || acks === 1 || acks === 2) return acks;
  throw new SluiceError('PROTOCOL_ERROR', `acks is ${acks}; 0, 1 or 2`);
}

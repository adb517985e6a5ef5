import { create, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { ReadResponseSchema } from '../../../src/gen/sluice/peer/v1/peer_pb.ts';
import type { MessageBytes } from '../../../src/transport/grpc/rpc-method.ts';
import { decodeMessage, encodeMessage, encodeWithBatches } from '../../../src/transport/grpc/rpc-method.ts';

/** The message as grpc-js writes it: behind five bytes of its own. */
function written(message: MessageBytes): Buffer {
  const whole = Buffer.alloc(5 + message.byteLength);
  expect(message.copy(whole, 5)).toBe(message.length);
  return whole.subarray(5);
}

describe('messages with batches', () => {
  it.each([[[]], [[0]], [[1, 127, 128]], [[16_383, 16_384, 2_097_151, 2_097_152]]])(
    'are the bytes that protobuf makes of them: %j',
    (sizes) => {
      const batches = sizes.map((size, n) => Buffer.alloc(size, n + 1));
      const head = { leaderEpoch: 7, logEnd: 2n ** 53n };
      const whole = toBinary(ReadResponseSchema, create(ReadResponseSchema, { ...head, batches }));
      expect(written(encodeWithBatches(ReadResponseSchema, head, batches)).equals(whole)).toBe(true);
    },
  );

  it('are read without copying the batches', () => {
    const bytes = written(encodeWithBatches(ReadResponseSchema, {}, [Buffer.from('batch')]));
    const batch = decodeMessage(ReadResponseSchema, bytes).batches[0]!;
    expect(batch.buffer).toBe(bytes.buffer);
  });

  it('that are none are PROTOCOL_ERROR', () => {
    const cut = written(encodeWithBatches(ReadResponseSchema, {}, [Buffer.from('batch')])).subarray(0, -1);
    const refused = expect.objectContaining({ code: 'PROTOCOL_ERROR' }) as Error;
    expect(() => decodeMessage(ReadResponseSchema, cut)).toThrow(refused);
  });

  it('with a field that does not fit are INVALID_ARGUMENT', () => {
    const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as Error;
    expect(() => encodeMessage(ReadResponseSchema, { leaderEpoch: -1 })).toThrow(refused);
  });
});

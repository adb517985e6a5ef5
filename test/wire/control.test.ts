import { describe, expect, it } from 'vitest';
import { HelloSchema, RequestSchema, ResponseSchema } from '../../src/gen/sluice/client/v1/control_pb.ts';
import { StreamOpenSchema } from '../../src/gen/sluice/client/v1/subscription_pb.ts';
import { decodeControl, encodeControl } from '../../src/wire/control.ts';
import { FRAME, FRAME_HEADER_BYTES } from '../../src/wire/frame.ts';
import { codeOf } from './craft.ts';

describe('control frame', () => {
  it('has the golden bytes of a HELLO', () => {
    const frame = encodeControl(FRAME.HELLO, HelloSchema, { version: 1, clientId: 'me' });
    expect(frame.toString('hex')).toBe('10000000000608011202' + '6d65');
  });

  it('has the golden bytes of a STREAM_OPEN with its topic', () => {
    const open = { subscriptionId: 9, partition: 2, firstOffset: 300n, leaderEpoch: 1 };
    const frame = encodeControl(FRAME.STREAM_OPEN, StreamOpenSchema, open, 'orders');
    expect(frame.toString('hex')).toBe('3006000000096f7264657273' + '0809100218ac022001');
  });

  it('comes back as it was encoded', () => {
    const frame = encodeControl(FRAME.REQUEST, RequestSchema, {
      correlationId: 5,
      body: { case: 'unsubscribe', value: { subscriptionId: 9 } },
    });
    const message = decodeControl(RequestSchema, frame.subarray(FRAME_HEADER_BYTES));
    expect([message.correlationId, message.body.case]).toEqual([5, 'unsubscribe']);
  });

  it('drops fields that this version does not know', () => {
    const message = decodeControl(HelloSchema, Buffer.from('0801fa3e03616263', 'hex'));
    expect([message.version, message.$unknown]).toEqual([1, undefined]);
  });

  it.each([
    ['a cut field', '0801120a6d65'],
    ['the wrong wire type for a closed group', '0c'],
    ['text that is not UTF-8', '1202c328'],
    ['field number 0', '0001'],
    ['an endless varint', '08ffffffffffffffffffffffffff'],
  ])('is refused with %s', (_what, payload) => {
    expect(codeOf(() => decodeControl(HelloSchema, Buffer.from(payload, 'hex')))).toBe('PROTOCOL_ERROR');
  });

  it('is refused when it would not fit a control frame', () => {
    const large = { clientId: 'x'.repeat(65_536) };
    expect(codeOf(() => encodeControl(FRAME.HELLO, HelloSchema, large))).toBe('FRAME_TOO_LARGE');
  });

  it('may be larger where the stream allows it', () => {
    const message = { body: { case: 'nodeStatus', value: { software: 'x'.repeat(5_000_000) } } } as const;
    const limits = { maxFrameBytes: 6_000_000, maxControlBytes: 100, maxResponseBytes: 6_000_000 };
    expect(codeOf(() => encodeControl(FRAME.RESPONSE, ResponseSchema, message))).toBe('FRAME_TOO_LARGE');
    expect(encodeControl(FRAME.RESPONSE, ResponseSchema, message, '', limits).length).toBeGreaterThan(
      5_000_000,
    );
  });

  it('is refused when a field does not fit its type', () => {
    expect(codeOf(() => encodeControl(FRAME.HELLO, HelloSchema, { version: -1 }))).toBe('INVALID_ARGUMENT');
  });
});

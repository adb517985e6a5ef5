import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ERRORS } from '../../src/kernel/errors.ts';
import type { ErrorCode } from '../../src/kernel/errors.ts';
import { FRAME_HEADER_BYTES } from '../../src/wire/frame.ts';
import type { Acks, Produced } from '../../src/wire/produce.ts';
import { decodeProduce, decodeProduced, encodeProduceHead, encodeProduced } from '../../src/wire/produce.ts';
import { codeOf } from './craft.ts';

const PRODUCE = Buffer.from('2006000000116f72646572730000000700000003020000004241544348', 'hex');
const ANY_PARTITION = Buffer.from('20060000000c6f726465727300000007ffffffff00000000', 'hex');
const STORED = '21000000001c000000070000000000000003000000123456789a0000018bcfe56800';
const DUPLICATE = '21000000001c00000008000001000000000300000000000000010000000000000000';
const REFUSED = '21000000001f00000009003600000000000300000000000000000000000000000000626164';
const payloadOf = (frame: string | Buffer): Buffer =>
  Buffer.from(frame as string, 'hex').subarray(FRAME_HEADER_BYTES);

const stored: Produced = {
  correlation: 7,
  error: undefined,
  message: '',
  duplicate: false,
  partition: 3,
  baseOffset: 0x123456789a,
  appendTimeMs: 1_700_000_000_000,
};
const duplicate: Produced = {
  ...stored,
  correlation: 8,
  duplicate: true,
  baseOffset: 1,
  appendTimeMs: undefined,
};
const refused: Produced = {
  ...stored,
  correlation: 9,
  error: 'CORRUPT_BATCH',
  message: 'bad',
  baseOffset: 0,
  appendTimeMs: undefined,
};

describe('PRODUCE', () => {
  it('has the golden bytes', () => {
    const head = encodeProduceHead('orders', { correlation: 7, partition: 3, acks: 2 }, 5);
    expect(Buffer.concat([head, Buffer.from('BATCH')])).toEqual(PRODUCE);
  });

  it('has the golden bytes when the broker chooses the partition', () => {
    expect(encodeProduceHead('orders', { correlation: 7, partition: undefined, acks: 0 }, 0)).toEqual(
      ANY_PARTITION,
    );
  });

  it('is read from the golden bytes', () => {
    expect(decodeProduce(PRODUCE.subarray(12))).toEqual({
      correlation: 7,
      partition: 3,
      acks: 2,
      batch: Buffer.from('BATCH'),
    });
  });

  it('is read from the golden bytes when the broker chooses the partition', () => {
    expect(decodeProduce(ANY_PARTITION.subarray(12)).partition).toBeUndefined();
  });

  it('comes back as it was encoded', () => {
    const u32 = fc.nat(0xffff_fffe);
    fc.assert(
      fc.property(u32, u32, fc.constantFrom<Acks>(0, 1, 2), (correlation, partition, acks) => {
        const frame = encodeProduceHead('t', { correlation, partition, acks }, 0);
        expect(decodeProduce(frame.subarray(7))).toEqual({
          correlation,
          partition,
          acks,
          batch: Buffer.alloc(0),
        });
      }),
    );
  });

  it.each([
    ['11 bytes', '0000000700000003020000'],
    ['acks 3', '000000070000000303000000'],
    ['acks 255', '0000000700000003ff000000'],
    ['a reserved byte', '000000070000000301000001'],
  ])('is refused with %s', (_what, payload) => {
    expect(codeOf(() => decodeProduce(Buffer.from(payload, 'hex')))).toBe('PROTOCOL_ERROR');
  });
});

describe('PRODUCED', () => {
  it.each([
    ['stored', stored, STORED],
    ['duplicate', duplicate, DUPLICATE],
    ['refused', refused, REFUSED],
  ])('has the golden bytes: %s', (_what, produced, frame) => {
    expect(encodeProduced(produced).toString('hex')).toBe(frame);
  });

  it.each([
    ['stored', stored, STORED],
    ['duplicate', duplicate, DUPLICATE],
    ['refused', refused, REFUSED],
  ])('is read from the golden bytes: %s', (_what, produced, frame) => {
    expect(decodeProduced(payloadOf(frame))).toEqual(produced);
  });

  it('comes back as it was encoded', () => {
    const u32 = fc.nat(0xffff_ffff);
    const anyProduced = fc.record<Produced>({
      correlation: u32,
      error: fc.option(fc.constantFrom(...(Object.keys(ERRORS) as ErrorCode[])), { nil: undefined }),
      message: fc.string({ maxLength: 20 }),
      duplicate: fc.boolean(),
      partition: u32,
      baseOffset: fc.maxSafeNat(),
      appendTimeMs: fc.option(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), { nil: undefined }),
    });
    fc.assert(
      fc.property(anyProduced, (produced) => {
        expect(decodeProduced(encodeProduced(produced).subarray(FRAME_HEADER_BYTES))).toEqual(produced);
      }),
    );
  });

  it('reads an error number of a newer version as INTERNAL', () => {
    const payload = payloadOf(REFUSED);
    payload.writeUInt16BE(60_000, 4);
    expect(decodeProduced(payload).error).toBe('INTERNAL');
  });

  it('is refused when it is cut', () => {
    expect(codeOf(() => decodeProduced(payloadOf(STORED).subarray(0, 27)))).toBe('PROTOCOL_ERROR');
  });

  it.each([12, 20])('is refused when the number at %i is 2^53', (at) => {
    const payload = payloadOf(STORED);
    payload.writeBigUInt64BE(2n ** 53n, at);
    expect(codeOf(() => decodeProduced(payload))).toBe('PROTOCOL_ERROR');
  });
});

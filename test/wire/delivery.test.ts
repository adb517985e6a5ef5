import { describe, expect, it } from 'vitest';
import { FRAME_HEADER_BYTES } from '../../src/wire/frame.ts';
import {
  GAP_REASON,
  datagramOverheadBytes,
  decodeCredit,
  decodeDatagram,
  decodeEnd,
  decodeGap,
  encodeCredit,
  encodeDatagram,
  encodeEnd,
  encodeGap,
} from '../../src/wire/delivery.ts';
import { codeOf } from './craft.ts';

const GAP = Buffer.from('3200000000110000000000000005000000123456789a01', 'hex');
const END = Buffer.from('3300000000060018676f6e65', 'hex');
const CLEAN_END = Buffer.from('3300000000020000', 'hex');
const DATAGRAM = Buffer.from('34060000000d6f726465727300000009000000024241544348', 'hex');
const CREDIT = Buffer.from('3500000000080000000900000010', 'hex');
const payloadOf = (frame: Buffer): Buffer => Buffer.from(frame.subarray(FRAME_HEADER_BYTES));

describe('GAP', () => {
  const gap = { from: 5, to: 0x123456789a, reason: GAP_REASON.RETENTION };

  it('has the golden bytes', () => {
    expect(encodeGap(gap)).toEqual(GAP);
  });

  it('is read from the golden bytes', () => {
    expect(decodeGap(payloadOf(GAP))).toEqual(gap);
  });

  it('reaches up to 2^53 − 1', () => {
    const wide = { ...gap, to: Number.MAX_SAFE_INTEGER };
    expect(decodeGap(payloadOf(encodeGap(wide)))).toEqual(wide);
  });

  it.each([
    ['16 bytes', '00000000000000050000001234567890'],
    ['18 bytes', '0000000000000005000000123456789a0100'],
    ['reason 0', '0000000000000005000000123456789a00'],
    ['reason 4', '0000000000000005000000123456789a04'],
    ['its end before its start', '0000000000000005000000000000000401'],
    ['an end of 2^53', '0000000000000005002000000000000001'],
    ['a start of 2^64 − 1', 'ffffffffffffffff000000000000000501'],
  ])('is refused with %s', (_what, payload) => {
    expect(codeOf(() => decodeGap(Buffer.from(payload, 'hex')))).toBe('PROTOCOL_ERROR');
  });
});

describe('END', () => {
  it('has the golden bytes with an error', () => {
    expect(encodeEnd({ error: 'GAP', message: 'gone' })).toEqual(END);
  });

  it('has the golden bytes without error', () => {
    expect(encodeEnd({ error: undefined, message: '' })).toEqual(CLEAN_END);
  });

  it('is read from the golden bytes with an error', () => {
    expect(decodeEnd(payloadOf(END))).toEqual({ error: 'GAP', message: 'gone' });
  });

  it('is read from the golden bytes without error', () => {
    expect(decodeEnd(payloadOf(CLEAN_END))).toEqual({ error: undefined, message: '' });
  });

  it('cuts a text that does not fit a control frame', () => {
    expect(encodeEnd({ error: 'GAP', message: 'x'.repeat(100_000) })).toHaveLength(
      FRAME_HEADER_BYTES + 65_536,
    );
  });

  it('is refused without an error number', () => {
    expect(codeOf(() => decodeEnd(Buffer.from([0])))).toBe('PROTOCOL_ERROR');
  });
});

describe('DATAGRAM', () => {
  const datagram = { topic: 'orders', subscription: 9, partition: 2, batch: Buffer.from('BATCH') };

  it('has the golden bytes', () => {
    expect(encodeDatagram(datagram)).toEqual(DATAGRAM);
  });

  it('is read from the golden bytes', () => {
    expect(decodeDatagram(DATAGRAM)).toEqual(datagram);
  });

  it('says how many bytes it needs besides the batch', () => {
    expect(datagramOverheadBytes('orders') + 5).toBe(DATAGRAM.length);
  });

  it.each([
    ['nothing', ''],
    ['another frame', '31060000000d6f726465727300000009000000024241544348'],
    ['a byte too few', '34060000000d6f7264657273000000090000000242415443'],
    ['a byte too many', '34060000000d6f72646572730000000900000002424154434800'],
    ['a topic longer than itself', '34ff0000000d6f726465727300000009000000024241544348'],
    ['no room for its head', '3406000000076f726465727300000009000000'],
    ['a topic that is not UTF-8', '34010000000dff00000009000000024241544348'],
  ])('is refused with %s', (_what, bytes) => {
    expect(codeOf(() => decodeDatagram(Buffer.from(bytes, 'hex')))).toBe('PROTOCOL_ERROR');
  });
});

describe('CREDIT', () => {
  it('has the golden bytes', () => {
    expect(encodeCredit({ subscription: 9, streams: 16 })).toEqual(CREDIT);
  });

  it('is read from the golden bytes', () => {
    expect(decodeCredit(payloadOf(CREDIT))).toEqual({ subscription: 9, streams: 16 });
  });

  it.each([7, 9])('is refused with %i bytes', (length) => {
    expect(codeOf(() => decodeCredit(Buffer.alloc(length)))).toBe('PROTOCOL_ERROR');
  });
});

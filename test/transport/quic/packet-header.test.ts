import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CID_BYTES } from '../../../src/transport/quic/native.ts';
import {
  cidKey,
  isLongHeader,
  parseLongHeader,
  shortHeaderKey,
} from '../../../src/transport/quic/packet-header.ts';

// RFC 9001, appendix A.2: the client's Initial, its unprotected header without a token, and the same with one.
const INITIAL = Buffer.from('c300000001088394c8f03e5157080000449e00000002', 'hex');
const WITH_TOKEN = Buffer.from('c300000001088394c8f03e5157080004746f6b65', 'hex');

describe('long header', () => {
  it('of an Initial is read as RFC 9001 shows it', () => {
    expect(parseLongHeader(INITIAL)).toEqual({
      version: 1,
      destinationId: Buffer.from('8394c8f03e515708', 'hex'),
      sourceId: Buffer.alloc(0),
      initial: true,
      token: Buffer.alloc(0),
    });
  });

  it('carries its token', () => {
    expect(parseLongHeader(Buffer.concat([WITH_TOKEN, Buffer.from('nxx')]))?.token.toString()).toBe(
      'token'.slice(0, 3) + 'e',
    );
  });

  it('with a token cut off is no Initial', () => {
    expect(parseLongHeader(WITH_TOKEN.subarray(0, WITH_TOKEN.length - 1))?.initial).toBe(false);
  });

  it.each([
    ['0-RTT', 0xd3],
    ['Handshake', 0xe3],
    ['Retry', 0xf3],
  ])('of %s is no Initial', (_type, flags) => {
    const packet = Buffer.from(INITIAL);
    packet[0] = flags;
    expect(parseLongHeader(packet)?.initial).toBe(false);
  });

  it('with an id longer than any of version 1 is none', () => {
    const packet = Buffer.alloc(100);
    packet.set([0xc3, 0, 0, 0, 1, 21]);
    expect(parseLongHeader(packet)).toBeUndefined();
  });

  it('is read out of any bytes without an exception, and never past their end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 80 }), (bytes) => {
        const packet = Buffer.from(bytes);
        packet[0] = packet[0]! | 0x80;
        const header = parseLongHeader(packet);
        if (header === undefined) return true;
        return (
          7 + header.destinationId.length + header.sourceId.length + header.token.length <= packet.length + 1
        );
      }),
    );
  });
});

describe('short header', () => {
  it('is told from a long one by its first bit', () => {
    expect([isLongHeader(Buffer.from([0x40])), isLongHeader(Buffer.from([0xc0]))]).toEqual([false, true]);
  });

  it('gives the key of its connection id', () => {
    const cid = Buffer.from(Array.from({ length: CID_BYTES }, (_, i) => 250 - i));
    expect(shortHeaderKey(Buffer.concat([Buffer.from([0x40]), cid, Buffer.alloc(5)]))).toBe(cidKey(cid));
  });

  it('too short for a connection id has none', () => {
    expect(shortHeaderKey(Buffer.alloc(CID_BYTES, 0x40))).toBeUndefined();
  });
});

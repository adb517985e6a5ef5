import { describe, expect, it } from 'vitest';
import type { FrameType } from '../../src/wire/frame.ts';
import {
  FRAME,
  cutTopic,
  encodeFrame,
  encodeFrameHeader,
  frameName,
  maxPayloadBytes,
} from '../../src/wire/frame.ts';
import { codeOf } from './craft.ts';

const LIMITS = { maxFrameBytes: 1000, maxControlBytes: 100 };

describe('frame', () => {
  it.each([
    ['PUBLISH', 'orders/42', 'hi', '01', '6f72646572732f3432'],
    ['SUBSCRIBE', 'orders/#', 'earliest', '02', '6f72646572732f23'],
    ['UNSUBSCRIBE', 'orders', '', '03', '6f7264657273'],
    ['MESSAGE', 'prices/€', '1', '04', '7072696365732fe282ac'],
    ['HELLO', '', 'x', '10', ''],
    ['WELCOME', '', 'x', '11', ''],
    ['REQUEST', '', 'x', '12', ''],
    ['RESPONSE', '', 'x', '13', ''],
    ['ERROR', '', 'x', '14', ''],
    ['GOAWAY', '', '', '15', ''],
    ['PING', '', '12345678', '16', ''],
    ['PONG', '', '12345678', '17', ''],
    ['PRODUCE', 'orders', 'x', '20', '6f7264657273'],
    ['PRODUCED', '', 'x', '21', ''],
    ['STREAM_OPEN', 'orders', 'x', '30', '6f7264657273'],
    ['BATCH', '', 'x', '31', ''],
    ['GAP', '', 'x', '32', ''],
    ['END', '', 'x', '33', ''],
    ['DATAGRAM', 'orders', 'x', '34', '6f7264657273'],
    ['CREDIT', '', 'x', '35', ''],
  ] as const)('lays out %s as the protocol says', (name, topic, payload, type, topicHex) => {
    const topicLength = (topicHex.length / 2).toString(16).padStart(2, '0');
    const payloadLength = payload.length.toString(16).padStart(8, '0');
    const wanted = type + topicLength + payloadLength + topicHex + Buffer.from(payload).toString('hex');
    expect(encodeFrame(FRAME[name], topic, Buffer.from(payload)).toString('hex')).toBe(wanted);
  });

  it('covers every frame type by the golden bytes above', () => {
    expect(Object.keys(FRAME)).toHaveLength(20);
  });

  it('writes only header and topic when the payload is sent on its own', () => {
    expect(encodeFrameHeader(FRAME.BATCH, '', 0x01020304).toString('hex')).toBe('310001020304');
  });

  it('refuses a topic of 256 bytes', () => {
    expect(codeOf(() => encodeFrameHeader(FRAME.PUBLISH, 'é'.repeat(128), 0))).toBe('INVALID_TOPIC');
  });

  it('takes a topic of 255 bytes', () => {
    expect(encodeFrameHeader(FRAME.PUBLISH, 'a'.repeat(255), 0)).toHaveLength(261);
  });

  it('refuses a payload that a u32 cannot count', () => {
    expect(codeOf(() => encodeFrameHeader(FRAME.BATCH, '', 2 ** 32))).toBe('FRAME_TOO_LARGE');
  });

  it('names types it does not know by their number', () => {
    expect([frameName(FRAME.GOAWAY), frameName(0x40)]).toEqual(['GOAWAY', '0x40']);
  });

  it.each([
    ['PUBLISH', 1000],
    ['MESSAGE', 1000],
    ['PRODUCE', 1000],
    ['BATCH', 1000],
    ['HELLO', 100],
    ['REQUEST', 1024 * 1024],
    ['DATAGRAM', 100],
    ['RESPONSE', 4 * 1024 * 1024],
    ['PING', 64],
    ['PONG', 64],
  ] as const)('bounds the payload of %s', (name, bytes) => {
    expect(maxPayloadBytes(FRAME[name] satisfies FrameType, LIMITS)).toBe(bytes);
  });

  it('bounds a RESPONSE as its stream says', () => {
    expect(maxPayloadBytes(FRAME.RESPONSE, { ...LIMITS, maxResponseBytes: 99 })).toBe(99);
  });

  it('cuts an address to 255 bytes without cutting a character', () => {
    expect(cutTopic(`ab${'€'.repeat(100)}`)).toBe(`ab${'€'.repeat(84)}`);
  });

  it('leaves an address of exactly 255 bytes alone', () => {
    expect(cutTopic('€'.repeat(85))).toBe('€'.repeat(85));
  });
});

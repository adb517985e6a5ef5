import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FRAME, encodeFrame } from '../../src/wire/frame.ts';
import { FrameReader } from '../../src/wire/frame-reader.ts';
import { codeOf } from './craft.ts';

const LIMITS = { maxFrameBytes: 1 << 20, maxControlBytes: 1024 };
type Frame = readonly [type: number, topic: string, payload: string];

function collect(limits = LIMITS): { reader: FrameReader; frames: Frame[] } {
  const frames: Frame[] = [];
  const reader = new FrameReader(limits, (type, topic, payload) => {
    frames.push([type, topic, payload.toString('latin1')]);
  });
  return { reader, frames };
}

/** `bytes` cut at the given places. */
function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end));
}

const TYPES = Object.values(FRAME);
const anyFrame = fc.record({
  type: fc.constantFrom(...TYPES),
  topic: fc.string({ unit: 'binary', maxLength: 60 }).filter((topic) => topic.isWellFormed()),
  payload: fc.uint8Array({ maxLength: 64 }),
});

describe('FrameReader', () => {
  it('gives back what was encoded, wherever the chunks are cut', () => {
    const cuts = fc.array(fc.nat(10_000), { maxLength: 12 });
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 6 }), cuts, (wanted, where) => {
        const { reader, frames } = collect();
        const bytes = Buffer.concat(wanted.map((f) => encodeFrame(f.type, f.topic, f.payload)));
        for (const piece of pieces(bytes, where)) reader.push(piece);
        reader.end();
        expect(frames).toEqual(
          wanted.map((f) => [f.type, f.topic, Buffer.from(f.payload).toString('latin1')]),
        );
      }),
    );
  });

  it('reads a large payload that arrives byte by byte', () => {
    const { reader, frames } = collect();
    const payload = Buffer.from(Array.from({ length: 20_000 }, (_, i) => i % 251));
    const bytes = encodeFrame(FRAME.PUBLISH, 'a', payload);
    for (let at = 0; at < bytes.length; at++) reader.push(bytes.subarray(at, at + 1));
    expect(frames).toEqual([[FRAME.PUBLISH, 'a', payload.toString('latin1')]]);
  });

  it('gives payloads that stay memory of their own, and small ones that logs copy a piece of a slab', () => {
    const payloads: Buffer[] = [];
    const reader = new FrameReader(LIMITS, (_type, _topic, payload) => payloads.push(payload));
    const small = Buffer.alloc(100);
    const pieces = encodeFrame(FRAME.PRODUCE, 'a', small);
    reader.push(encodeFrame(FRAME.BATCH, 'a', small));
    reader.push(encodeFrame(FRAME.PRODUCE, 'a', Buffer.alloc(4097)));
    reader.push(pieces.subarray(0, 50));
    reader.push(pieces.subarray(50));
    reader.push(encodeFrame(FRAME.PRODUCE, 'a', small));
    const own = payloads.map(({ length, buffer }) => length === buffer.byteLength);
    expect(own).toEqual([true, true, true, false]);
  });

  it('hands out payloads that do not change with the chunk they came in', () => {
    const { reader, frames } = collect();
    let payload: Buffer = Buffer.alloc(0);
    const owner = new FrameReader(LIMITS, (_type, _topic, bytes) => (payload = bytes));
    const chunk = encodeFrame(FRAME.PUBLISH, 'a', Buffer.from('kept'));
    owner.push(chunk);
    chunk.fill(0);
    reader.push(chunk.subarray(0, 0));
    expect([payload.toString(), frames]).toEqual(['kept', []]);
  });

  it('tells one topic from the next of the same length', () => {
    const { reader, frames } = collect();
    for (const topic of ['aa', 'ab', 'ab', 'aa', ''])
      reader.push(encodeFrame(FRAME.PUBLISH, topic, Buffer.alloc(0)));
    expect(frames.map(([, topic]) => topic)).toEqual(['aa', 'ab', 'ab', 'aa', '']);
  });

  it('counts the bytes of a frame that has begun', () => {
    const { reader } = collect();
    reader.push(encodeFrame(FRAME.PUBLISH, 'topic', Buffer.alloc(100)).subarray(0, 40));
    expect(reader.pendingBytes).toBe(40);
  });

  it('has nothing pending between frames', () => {
    const { reader } = collect();
    reader.push(encodeFrame(FRAME.PUBLISH, 'topic', Buffer.alloc(100)));
    expect(reader.pendingBytes).toBe(0);
  });

  it('keeps no more memory than twice what has arrived when a header announces much', () => {
    const before = process.memoryUsage().arrayBuffers;
    const readers = Array.from({ length: 200 }, () => collect().reader);
    for (const reader of readers) reader.push(Buffer.from('20000010000000', 'hex'));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(200 * 16_384);
  });

  it.each([0x00, 0x05, 0x18, 0x22, 0x36, 0x40, 0xff])('refuses the unknown type %i', (type) => {
    expect(codeOf(() => collect().reader.push(Buffer.from([type, 0, 0, 0, 0, 0])))).toBe('UNKNOWN_FRAME');
  });

  it('refuses a control payload above its limit as soon as the header is there', () => {
    expect(codeOf(() => collect().reader.push(Buffer.from('100000000401', 'hex')))).toBe('FRAME_TOO_LARGE');
  });

  it('refuses a batch above its limit as soon as the header is there', () => {
    expect(codeOf(() => collect().reader.push(Buffer.from('310000100001', 'hex')))).toBe('FRAME_TOO_LARGE');
  });

  it('refuses a PING of 65 bytes', () => {
    expect(codeOf(() => collect().reader.push(Buffer.from('160000000041', 'hex')))).toBe('FRAME_TOO_LARGE');
  });

  it('refuses a topic that is not UTF-8', () => {
    expect(codeOf(() => collect().reader.push(Buffer.from('010200000000c328', 'hex')))).toBe(
      'PROTOCOL_ERROR',
    );
  });

  it('refuses the end of the stream inside a header', () => {
    const { reader } = collect();
    reader.push(Buffer.from([FRAME.PUBLISH]));
    expect(codeOf(() => reader.end())).toBe('PROTOCOL_ERROR');
  });

  it('refuses the end of the stream inside a payload', () => {
    const { reader } = collect();
    reader.push(encodeFrame(FRAME.PUBLISH, '', Buffer.alloc(10)).subarray(0, 15));
    expect(codeOf(() => reader.end())).toBe('PROTOCOL_ERROR');
  });

  it('throws the same again once it has thrown', () => {
    const { reader, frames } = collect();
    codeOf(() => reader.push(Buffer.from([0, 0, 0, 0, 0, 0])));
    const again = codeOf(() => reader.push(encodeFrame(FRAME.PUBLISH, '', Buffer.alloc(0))));
    expect([again, frames]).toEqual(['UNKNOWN_FRAME', []]);
  });

  it('lets what the callee throws out of push', () => {
    const reader = new FrameReader(LIMITS, () => {
      throw new TypeError('callee');
    });
    expect(() => reader.push(encodeFrame(FRAME.PUBLISH, '', Buffer.alloc(0)))).toThrow(TypeError);
  });

  it('hands out nothing more of the chunk after stop', () => {
    const seen: number[] = [];
    const reader = new FrameReader(LIMITS, (type) => {
      seen.push(type);
      reader.stop();
    });
    const ping = encodeFrame(FRAME.PING, '', Buffer.alloc(0));
    reader.push(Buffer.concat([ping, ping, ping.subarray(0, 3)]));
    reader.end();
    expect(seen).toEqual([FRAME.PING]);
  });

  it('hands out nothing more of the chunk after pause, and says how much it took', () => {
    const seen: string[] = [];
    const reader = new FrameReader(LIMITS, (_type, topic) => {
      seen.push(topic);
      if (topic === 'b') reader.pause();
    });
    const frames = ['a', 'b', 'c'].map((topic) => encodeFrame(FRAME.PUBLISH, topic, Buffer.from('x')));
    const chunk = Buffer.concat(frames);
    const taken = reader.push(chunk);
    expect([taken, seen]).toEqual([frames[0]!.length * 2, ['a', 'b']]);
    expect([reader.push(chunk.subarray(taken)), seen]).toEqual([frames[0]!.length, ['a', 'b', 'c']]);
  });
});

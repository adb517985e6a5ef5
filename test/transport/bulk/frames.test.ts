import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SluiceError } from '../../../src/kernel/errors.ts';
import type { FrameKind } from '../../../src/transport/bulk/frames.ts';
import {
  FrameAssembler,
  HEADER_BYTES,
  KIND,
  encodeEnd,
  writeHeader,
} from '../../../src/transport/bulk/frames.ts';

const MAX_BYTES = 1000;

type Frame = readonly [kind: FrameKind, payload: string];

function encode(kind: number, payload: string | Buffer): Buffer {
  const bytes = Buffer.from(payload);
  const header = Buffer.alloc(HEADER_BYTES);
  writeHeader(header, kind as FrameKind, bytes.length);
  return Buffer.concat([header, bytes]);
}

/** Takes pieces one after the other, each with bytes before it that were looked at already. */
function assemble(pieces: readonly Buffer[]): Frame[] {
  const frames: Frame[] = [];
  const assembler = new FrameAssembler(MAX_BYTES, (kind, payload) =>
    frames.push([kind, payload.toString('latin1')]),
  );
  for (const piece of pieces) {
    const bytes = Buffer.concat([Buffer.from('seen'), piece]);
    let at = 4;
    while (at < bytes.length) at = assembler.take(bytes, at);
    // Whoever reads uses the memory again.
    bytes.fill('?');
  }
  return frames;
}

const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.tuple(fc.constant(KIND.message), fc.string({ unit: 'binary-ascii', maxLength: 300 })),
  fc.tuple(fc.constant(KIND.open), fc.string({ unit: 'binary-ascii', maxLength: 40 })),
  fc.constant([KIND.end, ''] as const),
  fc.constant([KIND.alive, ''] as const),
);

describe('frames', () => {
  const SOME: readonly Frame[] = [
    [KIND.open, '/a.B/C'],
    [KIND.message, ''],
    [KIND.message, 'one'],
    [KIND.alive, ''],
    [KIND.message, 'x'.repeat(300)],
    [KIND.end, ''],
  ];
  const wire = Buffer.concat(SOME.map(([kind, payload]) => encode(kind, payload)));

  it('have the length of their payload and their kind before it', () => {
    expect(encode(KIND.message, 'ab').toString('hex')).toBe('00000002026162');
    expect([KIND.open, KIND.message, KIND.end, KIND.alive]).toEqual([1, 2, 3, 4]);
  });

  it('come as they were sent, all at once', () => {
    expect(assemble([wire])).toEqual(SOME);
  });

  it('come as they were sent, byte by byte', () => {
    expect(assemble([...wire].map((byte) => Buffer.from([byte])))).toEqual(SOME);
  });

  it('come as they were sent, cut in two at any byte', () => {
    for (let cut = 0; cut <= wire.length; cut += 1) {
      expect(assemble([wire.subarray(0, cut), wire.subarray(cut)])).toEqual(SOME);
    }
  });

  it('come as they were sent, whatever they are and wherever they are cut', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 120 })),
        (sent, sizes) => {
          const bytes = Buffer.concat(sent.map(([kind, payload]) => encode(kind, payload)));
          const pieces: Buffer[] = [];
          let at = 0;
          for (const size of [...sizes, bytes.length]) {
            pieces.push(bytes.subarray(at, at + size));
            at += size;
          }
          expect(assemble(pieces)).toEqual(sent);
        },
      ),
    );
  });

  it('are taken one at a time', () => {
    const frames: string[] = [];
    const assembler = new FrameAssembler(MAX_BYTES, (_, payload) => frames.push(payload.toString()));
    const bytes = Buffer.concat([encode(KIND.message, 'one'), encode(KIND.message, 'two')]);
    expect(assembler.take(bytes, 0)).toBe(8);
    expect(frames).toEqual(['one']);
    expect(assembler.take(bytes, 8)).toBe(16);
    expect(frames).toEqual(['one', 'two']);
  });

  it('are there as soon as their last byte is', () => {
    expect(assemble([encode(KIND.message, '')])).toEqual([[KIND.message, '']]);
    expect(assemble([encode(KIND.message, 'ab').subarray(0, -1)])).toEqual([]);
  });

  it.each([
    ['open', KIND.open, 256],
    ['message', KIND.message, MAX_BYTES],
    ['end', KIND.end, 8 * 1024],
    ['alive', KIND.alive, 0],
  ])('of kind %s may have so many bytes and not one more', (_, kind, maxBytes) => {
    const largest = 'x'.repeat(maxBytes);
    expect(assemble([encode(kind, largest)])).toEqual([[kind, largest]]);
    // Told from the header: nothing is kept for what is too large.
    const header = encode(kind, `${largest}x`).subarray(0, HEADER_BYTES);
    expect(() => assemble([header])).toThrow(expect.objectContaining({ code: 'OVERLOADED' }));
  });

  it('that claim the largest length there is are refused', () => {
    const header = Buffer.from([0xff, 0xff, 0xff, 0xff, KIND.message]);
    expect(() => assemble([header])).toThrow(expect.objectContaining({ code: 'OVERLOADED' }));
  });

  it.each([0, 5, 255])('of kind %i are not known', (kind) => {
    expect(() => assemble([encode(kind, '')])).toThrow(expect.objectContaining({ code: 'PROTOCOL_ERROR' }));
  });

  it('end with an error however long its text is', () => {
    const end = encodeEnd(new SluiceError('NOT_LEADER', '\u{20ac}'.repeat(100_000)));
    expect(assemble([encode(KIND.end, end)])).toHaveLength(1);
    expect(end.toString()).toBe(`NOT_LEADER\n${'\u{20ac}'.repeat(1024)}`);
  });

  it('end well with nothing', () => {
    expect(encodeEnd(undefined)).toHaveLength(0);
  });
});

import { afterEach, describe, expect, it, vi } from 'vitest';
import { FrameAssembler, HEADER_BYTES, KIND, writeHeader } from '../../../src/transport/bulk/frames.ts';

const MiB = 1024 * 1024;

function headerOf(payloadBytes: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  writeHeader(header, KIND.message, payloadBytes);
  return header;
}

describe('a frame that is announced as very long', () => {
  afterEach(() => vi.restoreAllMocks());

  it('gets room as it comes, and not at once', () => {
    const allocated = vi.spyOn(Buffer, 'allocUnsafe');
    const frames = new FrameAssembler(24 * MiB, () => undefined);
    const bytes = Buffer.concat([headerOf(24 * MiB), Buffer.from('x')]);
    frames.take(bytes, frames.take(bytes, 0));
    expect(allocated.mock.calls.reduce((sum, [size]) => sum + size, 0)).toBeLessThan(5 * MiB);
  });

  it('arrives whole', () => {
    const payload = Buffer.alloc(20 * MiB + 1);
    for (let at = 0; at + 4 <= payload.length; at += 4096) payload.writeUInt32BE(at, at);
    const got: Buffer[] = [];
    const frames = new FrameAssembler(24 * MiB, (_, bytes) => got.push(bytes));
    const bytes = Buffer.concat([headerOf(payload.length), payload, headerOf(1), Buffer.from('y')]);
    for (let start = 0; start < bytes.length; start += 65_521) {
      const piece = bytes.subarray(start, start + 65_521);
      for (let at = 0; at < piece.length;) at = frames.take(piece, at);
    }
    expect(got.map(({ length }) => length)).toEqual([payload.length, 1]);
    expect(got[0]!.equals(payload)).toBe(true);
  });

  it('is forgotten when it is dropped', () => {
    const got: Buffer[] = [];
    const frames = new FrameAssembler(24 * MiB, (_, bytes) => got.push(bytes));
    frames.take(Buffer.concat([headerOf(10), Buffer.from('x')]), 0);
    frames.drop();
    frames.take(Buffer.concat([headerOf(1), Buffer.from('y')]), 0);
    expect(got.map(String)).toEqual(['y']);
  });

  it('is refused before it comes when the stream is not open', () => {
    const got: Buffer[] = [];
    const frames = new FrameAssembler(24 * MiB, (_, bytes) => got.push(bytes), false);
    const refusal = expect.objectContaining({ code: 'PROTOCOL_ERROR' }) as Error;
    expect(() => frames.take(Buffer.concat([headerOf(MiB), Buffer.from('x')]), 0)).toThrow(refusal);
    const opened = new FrameAssembler(24 * MiB, (_, bytes) => got.push(bytes), false);
    const open = Buffer.alloc(HEADER_BYTES + 1, 'p');
    writeHeader(open, KIND.open, 1);
    const bytes = Buffer.concat([open, headerOf(1), Buffer.from('x')]);
    for (let at = 0; at < bytes.length;) at = opened.take(bytes, at);
    expect(got.map(String)).toEqual(['p', 'x']);
  });
});

import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Codec } from '../../src/wire/codecs.ts';
import {
  CODECS,
  codecFromAttributes,
  compressInBackground,
  compressRecords,
  inflateInBackground,
  inflateRecords,
} from '../../src/wire/codecs.ts';
import { codeOf } from './craft.ts';

const ALL = Object.keys(CODECS) as Codec[];
const COMPRESSING = ['gzip', 'zstd'] as const;
const text = Buffer.alloc(5000, 'all work and no play ');

/** Of a zstd frame of more than 64 KiB, after magic number and descriptor. */
const ANNOUNCED_AT = 5;

describe('codecs', () => {
  it('gives back what was compressed', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ALL),
        fc.uint8Array({ minLength: 1, maxLength: 300 }),
        (codec, bytes) => {
          const inflated = inflateRecords(codec, compressRecords(codec, Buffer.from(bytes)), 1000);
          expect(inflated).toEqual(Buffer.from(bytes));
        },
      ),
    );
  });

  it.each(ALL)('gives back in the background what was compressed there: %s', async (codec) => {
    const compressed = await compressInBackground(codec, text);
    expect(await inflateInBackground(codec, compressed, text.length)).toEqual(text);
  });

  it.each(ALL)(
    'refuses %s in the background that inflates to one byte more than the bound',
    async (codec) => {
      const compressed = compressRecords(codec, text);
      await expect(inflateInBackground(codec, compressed, text.length - 1)).rejects.toMatchObject({
        code: 'BATCH_TOO_LARGE',
      });
    },
  );

  it.each(COMPRESSING)('refuses bytes behind %s in the background', async (codec) => {
    const bytes = Buffer.concat([compressRecords(codec, text), Buffer.from('more')]);
    await expect(inflateInBackground(codec, bytes, 10_000)).rejects.toMatchObject({ code: 'CORRUPT_BATCH' });
  });

  it.each(ALL)('inflates %s to exactly the bound', (codec) => {
    expect(inflateRecords(codec, compressRecords(codec, text), text.length)).toEqual(text);
  });

  it.each(ALL)('refuses %s that inflates to one byte more than the bound', (codec) => {
    expect(codeOf(() => inflateRecords(codec, compressRecords(codec, text), text.length - 1))).toBe(
      'BATCH_TOO_LARGE',
    );
  });

  it.each(COMPRESSING)('stops at the bound of a %s bomb', (codec) => {
    const bomb = compressRecords(codec, Buffer.alloc(64 * 1024 * 1024));
    expect(codeOf(() => inflateRecords(codec, bomb, 1024 * 1024))).toBe('BATCH_TOO_LARGE');
  });

  it('refuses a zstd window beyond the bound before it is allocated', () => {
    // A frame with a window of 2^27 bytes and one raw block with one byte.
    const wide = Buffer.from('28b52ffd' + '00' + '88' + '090000' + '61', 'hex');
    expect(codeOf(() => inflateRecords('zstd', wide, 1024 * 1024))).toBe('BATCH_TOO_LARGE');
  });

  it('inflates a zstd frame that does not say how much it holds', () => {
    // A window of 1 KiB, and one raw block with three bytes; then the same with a frame that is longer than any header.
    const silent = Buffer.from('28b52ffd' + '00' + '00' + '190000' + '616263', 'hex');
    expect(inflateRecords('zstd', silent, 1000)).toEqual(Buffer.from('abc'));
    const longer = Buffer.concat([
      Buffer.from('28b52ffd' + '00' + '00' + '410100', 'hex'),
      text.subarray(0, 40),
    ]);
    expect(inflateRecords('zstd', longer, 1000)).toEqual(text.subarray(0, 40));
  });

  it.each([10, 300, 70_000, 3_000_000])(
    'inflates %d bytes, whatever width zstd writes the number in',
    (bytes) => {
      const whole = Buffer.alloc(bytes, 'abcdefghijklmnopqrstuvw');
      expect(inflateRecords('zstd', compressRecords('zstd', whole), bytes).equals(whole)).toBe(true);
    },
  );

  it.each([40_000, 65_700, 200_000])('makes room for %d bytes of zstd once', (bytes) => {
    const inflated = inflateRecords('zstd', compressRecords('zstd', Buffer.alloc(bytes, 'x')), bytes);
    expect(inflated.buffer.byteLength).toBe(bytes + 1);
  });

  it.each([0, 0xffff_ffff])('refuses 200,000 bytes in a zstd frame that announces %d', (announced) => {
    const frame = compressRecords('zstd', Buffer.alloc(200_000, 'x'));
    expect(frame.readUInt32LE(ANNOUNCED_AT)).toBe(200_000);
    frame.writeUInt32LE(announced, ANNOUNCED_AT);
    expect(['CORRUPT_BATCH', 'BATCH_TOO_LARGE']).toContain(
      codeOf(() => inflateRecords('zstd', frame, 16 * 1024 * 1024)),
    );
  });

  it.each(COMPRESSING)('refuses %s cut anywhere', (codec) => {
    const whole = compressRecords(codec, text.subarray(0, 60));
    const codes = Array.from({ length: whole.length }, (_, end) =>
      codeOf(() => inflateRecords(codec, whole.subarray(0, end), 1000)),
    );
    expect(new Set(codes)).toEqual(new Set(['CORRUPT_BATCH']));
  });

  it.each(COMPRESSING)('refuses garbage after %s', (codec) => {
    const tail = Buffer.concat([compressRecords(codec, text), Buffer.from('tail')]);
    expect(codeOf(() => inflateRecords(codec, tail, 10_000))).toBe('CORRUPT_BATCH');
  });

  it('refuses a second zstd frame', () => {
    const frame = zstdCompressSync(text);
    expect(codeOf(() => inflateRecords('zstd', Buffer.concat([frame, frame]), 100_000))).toBe(
      'CORRUPT_BATCH',
    );
  });

  it('inflates gzip of several members', () => {
    const members = Buffer.concat([gzipSync(text), gzipSync(text)]);
    expect(inflateRecords('gzip', members, 100_000)).toEqual(Buffer.concat([text, text]));
  });

  it.each(COMPRESSING)('refuses other bytes than %s', (codec) => {
    expect(codeOf(() => inflateRecords(codec, Buffer.from('not compressed at all'), 1000))).toBe(
      'CORRUPT_BATCH',
    );
  });

  it('knows no other codec', () => {
    const names = Array.from({ length: 8 }, (_, number) => {
      try {
        return codecFromAttributes(number);
      } catch {
        return undefined;
      }
    });
    expect(names).toEqual(['none', 'gzip', undefined, undefined, 'zstd', undefined, undefined, undefined]);
  });
});

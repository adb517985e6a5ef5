import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitLines } from '../../../src/cli/records/lines.ts';

async function* chunked(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield await Promise.resolve(part);
}

async function linesOf(parts: readonly Uint8Array[], maxLineBytes = 1024): Promise<string[]> {
  const found: string[] = [];
  for await (const lines of splitLines(chunked(parts), maxLineBytes))
    found.push(...lines.map((line) => line.toString('latin1')));
  return found;
}

describe('splitLines', () => {
  it('gives the same lines however the bytes were cut', async () => {
    const text = fc.string({ unit: fc.constantFrom('a', '\n', 'é'), maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(text, fc.array(fc.nat(60)), async (whole, cuts) => {
        const bytes = Buffer.from(whole, 'latin1');
        const at = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
        const parts = at.slice(1).map((end, index) => bytes.subarray(at[index], end));
        const expected = whole.split('\n');
        if (expected.at(-1) === '') expected.pop();
        expect(await linesOf(parts)).toEqual(expected);
      }),
    );
  });

  it('keeps bytes that are not UTF-8', async () => {
    expect(await linesOf([Buffer.from([0xff, 0x0a, 0xfe])])).toEqual(['\xff', '\xfe']);
  });

  it('drops the carriage return of a CRLF line end, also where the cut is between the two', async () => {
    expect(await linesOf([Buffer.from('one\r'), Buffer.from('\ntwo\r\n')])).toEqual(['one', 'two']);
  });

  it('counts an empty line', async () => {
    expect(await linesOf([Buffer.from('a\n\nb\n')])).toEqual(['a', '', 'b']);
  });

  it('refuses a line that would grow without bound', async () => {
    await expect(linesOf([Buffer.alloc(600, 97), Buffer.alloc(600, 97)])).rejects.toMatchObject({
      code: 'RECORD_TOO_LARGE',
    });
  });
});

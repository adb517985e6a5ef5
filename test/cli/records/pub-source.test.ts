import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { PubSource } from '../../../src/cli/records/pub-source.ts';
import { readRecords } from '../../../src/cli/records/pub-source.ts';
import type { Terminal } from '../../../src/cli/terminal.ts';
import { fakeTerminal } from '../fake-terminal.ts';

const SOURCE: PubSource = {
  values: [],
  files: [],
  wholeFile: false,
  tombstone: false,
  key: undefined,
  keyField: undefined,
  valueField: undefined,
  keySeparator: undefined,
};

/** The values that came before the source ended or failed, and the error if it did. */
async function read(
  source: Partial<PubSource>,
  terminal: Partial<Terminal> = {},
): Promise<{ values: (string | null)[]; error: unknown }> {
  const values: (string | null)[] = [];
  try {
    for await (const group of readRecords({ ...SOURCE, ...source }, fakeTerminal(terminal))) {
      for (const { value } of group) values.push(value === null ? null : Buffer.from(value).toString());
    }
    return { values, error: undefined };
  } catch (error) {
    return { values, error };
  }
}

describe('readRecords', () => {
  it('takes each argument for a record', async () => {
    expect(await read({ values: ['a', 'b'] })).toEqual({ values: ['a', 'b'], error: undefined });
  });

  it('takes a single dash for stdin', async () => {
    const stdin = Readable.from([Buffer.from('x\ny\n')]);
    expect((await read({ values: ['-'] }, { stdin })).values).toEqual(['x', 'y']);
  });

  it('gives the lines before one that does not fit, and then fails', async () => {
    const stdin = Readable.from([Buffer.from('k=1\nk=2\nnone\nk=3\n')]);
    const { values, error } = await read({ keySeparator: '=' }, { stdin });
    expect(values).toEqual(['1', '2']);
    expect(error).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('Line 3 of stdin') as string,
    });
  });

  it('ends without error when it is interrupted while it waits', async () => {
    const interruption = new AbortController();
    const stdin = new Readable({
      read() {
        this.push('first\n');
        queueMicrotask(() => interruption.abort('SIGINT'));
      },
    });
    const { values, error } = await read({}, { stdin, interrupted: interruption.signal });
    expect(error).toBeUndefined();
    expect(values.every((value) => value === 'first')).toBe(true);
  });

  it('makes a tombstone', async () => {
    expect((await read({ tombstone: true, key: 'k' })).values).toEqual([null]);
  });

  it.each<[string, Partial<PubSource>]>([
    ['values and files', { values: ['a'], files: ['f'] }],
    ['a tombstone without key', { tombstone: true }],
    ['--whole-file without file', { wholeFile: true }],
    ['a file that does not exist', { files: ['missing'] }],
  ])('refuses %s', async (_, source) => {
    expect((await read(source)).error).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('does not wait for a person who was not asked', async () => {
    const stdin = Object.assign(Readable.from([]), { isTTY: true });
    expect((await read({}, { stdin })).error).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

import { describe, expect, it } from 'vitest';
import { lineParser } from '../../../src/cli/records/pub-record.ts';
import type { LineFormat } from '../../../src/cli/records/pub-record.ts';

const PLAIN: LineFormat = {
  key: undefined,
  keyField: undefined,
  valueField: undefined,
  keySeparator: undefined,
};

function parse(
  format: Partial<LineFormat>,
  line: string,
): { key: string | undefined; value: string | null } | undefined {
  const record = lineParser({ ...PLAIN, ...format })(Buffer.from(line), 'line 1');
  if (record === undefined) return undefined;
  const text = (bytes: string | Uint8Array): string =>
    typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString();
  return {
    key: record.key === undefined ? undefined : text(record.key),
    value: record.value === null ? null : text(record.value),
  };
}

const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as unknown;

describe('lineParser', () => {
  it('takes the whole line as value and the key of the address', () => {
    expect(parse({ key: 'room1' }, '21.5')).toEqual({ key: 'room1', value: '21.5' });
  });

  it('takes the key from a JSON field and leaves the line as it is', () => {
    expect(parse({ keyField: 'origin' }, '{ "origin":"LAX" }')).toEqual({
      key: 'LAX',
      value: '{ "origin":"LAX" }',
    });
  });

  it('writes a key that is no text as JSON', () => {
    expect(parse({ keyField: 'id' }, '{"id":7}')?.key).toBe('7');
  });

  it('goes into objects at dots', () => {
    expect(parse({ keyField: 'a.b' }, '{"a":{"b":"x"}}')?.key).toBe('x');
  });

  it('prefers a field whose name contains the dot', () => {
    expect(parse({ keyField: 'a.b' }, '{"a":{"b":"x"},"a.b":"y"}')?.key).toBe('y');
  });

  it('takes the value from a field', () => {
    expect(parse({ keyField: 'k', valueField: 'v' }, '{"k":"x","v":{"n":1}}')).toEqual({
      key: 'x',
      value: '{"n":1}',
    });
  });

  it('makes a tombstone of a null value field', () => {
    expect(parse({ keyField: 'k', valueField: 'v' }, '{"k":"x","v":null}')).toEqual({
      key: 'x',
      value: null,
    });
  });

  it('cuts at the first separator only', () => {
    expect(parse({ keySeparator: '=' }, 'a=b=c')).toEqual({ key: 'a', value: 'b=c' });
  });

  it('skips a blank line where JSON is expected', () => {
    expect(parse({ keyField: 'k' }, '  ')).toBeUndefined();
  });

  it('publishes a blank line where any text is', () => {
    expect(parse({}, '')).toEqual({ key: undefined, value: '' });
  });

  it.each([
    ['a line that is not JSON', { keyField: 'k' }, 'k=1'],
    ['a line without the key field', { keyField: 'k' }, '{"j":1}'],
    ['a key that is null', { keyField: 'k' }, '{"k":null}'],
    ['a line without the value field', { valueField: 'v' }, '{}'],
    ['a line without separator', { keySeparator: ':' }, 'none'],
    ['an inherited property as field', { keyField: 'constructor' }, '{}'],
  ] as const)('refuses %s', (_, format, line) => {
    expect(() => parse(format, line)).toThrow(refused);
  });

  it.each([
    ['two sources of keys', { key: 'k', keyField: 'f' }],
    ['separator and field', { keySeparator: ':', keyField: 'f' }],
    ['an empty separator', { keySeparator: '' }],
  ] as const)('refuses %s before any line is read', (_, format) => {
    expect(() => lineParser({ ...PLAIN, ...format })).toThrow(refused);
  });
});

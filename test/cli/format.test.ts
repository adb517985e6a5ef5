import { describe, expect, it } from 'vitest';
import { bytes, duration, facts, table } from '../../src/cli/format.ts';

describe('format', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1536, '1.5 KiB'],
    [64 * 1024 ** 2, '64 MiB'],
  ])('%d bytes: %s', (value, text) => {
    expect(bytes(value)).toBe(text);
  });

  it.each([
    [0.42, '0.4 ms'],
    [12_000, '12 s'],
    [185_000, '3 min 5 s'],
    [3_600_000, '1 h'],
    [187_200_000, '2 d 4 h'],
  ])('%d ms: %s', (value, text) => {
    expect(duration(value)).toBe(text);
  });

  it('draws one line per row, numbers to the right', () => {
    const drawn = table(
      ['name', 'records'],
      [
        ['a', 5],
        ['long', 12_345],
      ],
    );
    expect(drawn).toBe('name  records\na           5\nlong   12,345');
  });

  it('draws headings alone when there are no rows', () => {
    expect(table(['name', 'records'], [])).toBe('name  records');
  });

  it('aligns facts', () => {
    expect(
      facts([
        ['id', 'x'],
        ['records', 1000],
      ]),
    ).toBe('id       x\nrecords  1,000');
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/config/units.ts';

describe('units', () => {
  it('reads durations as milliseconds', () => {
    expect(['500ms', '10s', '1.5h', '7d', '2 m'].map(parseDuration)).toEqual([
      500, 10_000, 5_400_000, 604_800_000, 120_000,
    ]);
  });

  it('reads sizes as bytes', () => {
    expect(['512B', '64KiB', '1.5MiB', '2GiB'].map(parseSize)).toEqual([
      512, 65_536, 1_572_864, 2_147_483_648,
    ]);
  });

  it('refuses what has no unit, another unit or a sign', () => {
    expect(
      ['10', '10MB', '-1s', 's', '', '1e3s', '10sec', '1constructor'].map(
        (text) => parseDuration(text) ?? parseSize(text),
      ),
    ).toEqual(Array.from({ length: 8 }, () => undefined));
  });

  it('reads back what it writes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e12 }), (value) => {
        expect([parseDuration(formatDuration(value)), parseSize(formatSize(value))]).toEqual([value, value]);
      }),
    );
  });
});

import { describe, expect, it } from 'vitest';
import { parseFuture, parseStart } from '../../../src/cli/records/start-position.ts';
import type { Clock } from '../../../src/kernel/clock.ts';

const NOW = Date.UTC(2026, 0, 31, 12);
const clock: Clock = {
  now: () => NOW,
  monotonicMs: () => 0,
  setTimer: () => ({ cancel: () => undefined }),
};

describe('parseStart', () => {
  it.each(['latest', 'earliest', 'last-per-key'])('knows %s', (word) => {
    expect(parseStart(word, clock)).toBe(word);
  });

  it('takes digits for an offset', () => {
    expect(parseStart('42', clock)).toBe(42);
  });

  it.each([
    ['2026-01-31T12:00:00Z', NOW],
    ['2026-01-31T13:00:00+01:00', NOW],
    ['2026-01-31 12:00:00.5Z', NOW + 500],
    ['2026-01-31', Date.UTC(2026, 0, 31)],
  ])('takes %s for a time', (text, ms) => {
    expect(parseStart(text, clock)).toEqual(new Date(ms));
  });

  it('takes an age for the time so long ago', () => {
    expect(parseStart('15m', clock)).toEqual(new Date(NOW - 15 * 60_000));
  });

  it.each(['earliest', 'last-per-key', 'foo'])(
    'refuses %j where it makes no sense, and names what does',
    (text) => {
      expect(() => parseStart(text, clock, ['latest'])).toThrow(
        expect.objectContaining({
          code: 'INVALID_ARGUMENT',
          message: expect.stringMatching(/Write latest, an offset,/) as string,
        }) as Error,
      );
    },
  );

  it.each(['', 'first', '-1', '1.5', '2026-13-01', '9007199254740993', '15 parsecs'])(
    'refuses %j',
    (text) => {
      expect(() => parseStart(text, clock)).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as Error,
      );
    },
  );
});

describe('parseFuture', () => {
  it('takes a duration from now on, and a time as it is', () => {
    expect(parseFuture('--at', '15m', clock)).toEqual(new Date(NOW + 15 * 60_000));
    expect(parseFuture('--at', '2026-02-01', clock)).toEqual(new Date(Date.UTC(2026, 1, 1)));
  });

  it.each(['', 'earliest', '42', '2026-13-01'])('refuses %j, and names the option', (text) => {
    expect(() => parseFuture('--at', text, clock)).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(/^--at /) as string,
      }) as Error,
    );
  });
});

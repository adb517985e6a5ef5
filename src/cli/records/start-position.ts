import { parseDuration } from '../../config/units.ts';
import type { Clock } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';

/** Where a subscription begins, as the SDK takes it: a number is an offset, a Date a time. */
export type StartPosition = StartWord | number | Date;

type StartWord = 'latest' | 'earliest' | 'last-per-key';

const WORDS: readonly StartWord[] = ['earliest', 'latest', 'last-per-key'];

const RFC_3339 = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?)?$/i;

/**
 * Reads `--from` and the like: a word, an offset, a time (RFC 3339; a date alone is its first moment in UTC) or an age like `15m`.
 *
 * @param words those that make sense here. Default: all
 * @throws INVALID_ARGUMENT for anything else
 */
export function parseStart(text: string, clock: Clock): StartPosition;
export function parseStart<Word extends StartWord>(
  text: string,
  clock: Clock,
  words: readonly Word[],
): Word | number | Date;
export function parseStart(text: string, clock: Clock, words: readonly StartWord[] = WORDS): StartPosition {
  const word = words.find((each) => each === text);
  if (word !== undefined) return word;
  if (/^\d+$/.test(text)) {
    const offset = Number(text);
    if (!Number.isSafeInteger(offset))
      throw new SluiceError('INVALID_ARGUMENT', `The offset ${text} is beyond 2^53 - 1.`);
    return offset;
  }
  const at = parseTime(text);
  if (at !== undefined) return at;
  const ageMs = parseDuration(text);
  if (ageMs !== undefined) return new Date(Math.max(0, clock.now() - ageMs));
  throw new SluiceError(
    'INVALID_ARGUMENT',
    `'${text}' is no place in a topic. Write ${words.join(', ')}, an offset, a time like 2026-01-31T12:00:00Z, or an age like 15m.`,
  );
}

/**
 * Reads a time to come: RFC 3339, or a duration like `15m` from now on.
 *
 * @param option named in the error @throws INVALID_ARGUMENT for anything else
 */
export function parseFuture(option: string, text: string, clock: Clock): Date {
  const at = parseTime(text);
  if (at !== undefined) return at;
  const inMs = parseDuration(text);
  if (inMs !== undefined) return new Date(clock.now() + inMs);
  throw new SluiceError(
    'INVALID_ARGUMENT',
    `${option} '${text}' is no time. Write 2026-01-31T12:00:00Z, or 15m for a quarter of an hour from now.`,
  );
}

function parseTime(text: string): Date | undefined {
  if (!RFC_3339.test(text)) return undefined;
  const at = new Date(text.replace(' ', 'T'));
  return Number.isNaN(at.getTime()) ? undefined : at;
}

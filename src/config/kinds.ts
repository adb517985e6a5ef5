import { z } from 'zod';
import type { Kind } from './setting.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from './units.ts';

/** Where to listen. */
export interface ListenAddress {
  /** Name or IP address, without brackets. */
  readonly host: string;
  readonly port: number;
}

interface Range {
  readonly min: number;
  readonly max: number;
}

/** A duration with unit; milliseconds in code. */
export function duration(range: Range): Kind<number> {
  const span = `${formatDuration(range.min)} to ${formatDuration(range.max)}`;
  return kind(`a duration with unit (ms, s, m, h, d), ${span}`, (value) =>
    within(fromText(value, parseDuration), range),
  );
}

/** A size with unit; bytes in code. */
export function size(range: Range): Kind<number> {
  const span = `${formatSize(range.min)} to ${formatSize(range.max)}`;
  return kind(`a size with unit (B, KiB, MiB, GiB, TiB), ${span}`, (value) =>
    within(fromText(value, parseSize), range),
  );
}

/** A whole number. */
export function integer(range: Range): Kind<number> {
  return kind(`a whole number, ${range.min} to ${range.max}`, (value) => {
    const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
    return typeof number === 'number' && Number.isInteger(number) ? within(number, range) : undefined;
  });
}

/** `true` or `false`. */
export function yesOrNo(): Kind<boolean> {
  return kind('true or false', (value) => {
    if (value === true || value === 'true') return true;
    return value === false || value === 'false' ? false : undefined;
  });
}

/** One of a few words. */
export function oneOf<const T extends string>(words: readonly T[]): Kind<T> {
  return kind(`one of ${words.join(', ')}`, (value) => words.find((word) => word === value));
}

/** Text of a certain form. */
export function text(expects: string, form: RegExp): Kind<string> {
  return kind(expects, (value) => (typeof value === 'string' && form.test(value) ? value : undefined));
}

/** Texts of a certain form: a list in the file, separated by commas elsewhere. */
export function commaList(expects: string, form: RegExp): Kind<string[]> {
  const split = (value: unknown): unknown =>
    typeof value === 'string' ? value.split(',').map((part) => part.trim()) : value;
  return { expects, schema: z.preprocess(split, z.array(z.string().regex(form))) };
}

/** Path of a file or directory. */
export function path(): Kind<string> {
  return text('a path', /^[^\0]+$/);
}

/** `host:port`; an IPv6 address in brackets. */
export function listenAddress(): Kind<ListenAddress> {
  return kind('host:port, an IPv6 address in brackets ([::1]:7450)', (value) => {
    const match =
      typeof value === 'string' ? /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(value) : null;
    const port = Number(match?.[3]);
    return match && port <= 65_535 ? { host: (match[1] ?? match[2])!, port } : undefined;
  });
}

/** What another kind accepts, or `word`, which is `value` in code. */
export function orWord<T, const V>(other: Kind<T>, word: string, value: V): Kind<T | V> {
  const expects = `${other.expects}, or ${word}`;
  const schema = z.unknown().transform((written, context): T | V => {
    if (written === word) return value;
    const parsed = other.schema.safeParse(written);
    if (parsed.success) return parsed.data;
    context.addIssue({ code: 'custom', message: `expected ${expects}` });
    return z.NEVER;
  });
  return { schema, expects };
}

/** What another kind accepts, or `off`, which is null in code. */
export function orOff<T>(other: Kind<T>): Kind<T | null> {
  return orWord(other, 'off', null);
}

/** What a schema accepts, written as YAML or JSON in the file and as JSON in the environment and in flags. */
export function structure<T>(expects: string, schema: z.ZodType<T>): Kind<T> {
  const fromJson = (value: unknown): unknown => {
    if (typeof value !== 'string') return value;
    try {
      return JSON.parse(value) as unknown;
    } catch {
      return value; // the schema refuses a text and says what it expects
    }
  };
  return { expects, schema: z.preprocess(fromJson, schema) };
}

function kind<T>(expects: string, parse: (value: unknown) => T | undefined): Kind<T> {
  const schema = z.unknown().transform((value, context) => {
    const parsed = parse(value);
    if (parsed !== undefined) return parsed;
    context.addIssue({ code: 'custom', message: `expected ${expects}` });
    return z.NEVER;
  });
  return { schema, expects };
}

function fromText(value: unknown, parse: (text: string) => number | undefined): number | undefined {
  return typeof value === 'string' ? parse(value) : undefined;
}

function within(value: number | undefined, { min, max }: Range): number | undefined {
  return value !== undefined && value >= min && value <= max ? value : undefined;
}

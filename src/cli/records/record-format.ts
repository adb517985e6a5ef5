import { isUtf8 } from 'node:buffer';
import { SluiceError } from '../../kernel/errors.ts';
import type { Terminal } from '../terminal.ts';

/** A received record, as far as it is printed. */
export interface PrintedRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly { readonly key: string; readonly value: Uint8Array | null }[];
}

/** `value`: value and line end; `json`: an object per line; `raw`: the value's bytes and nothing else. */
export type RecordFormat = 'value' | 'json' | 'raw';

/** Options of commands that print records. */
export interface PrintFlags {
  readonly output: RecordFormat;
  readonly keySeparator?: string;
  readonly quiet?: true;
}

/** Gives the bytes to print for a record. @param more properties that JSON has besides */
export type RecordPrinter = (record: PrintedRecord, more?: Record<string, unknown>) => Uint8Array;

const LINE_END = Buffer.from('\n');
const NOTHING = Buffer.alloc(0);

/**
 * Makes the function that gives the bytes to print for a record.
 *
 * JSON: `topic`, `partition`, `offset`, `timestamp` (RFC 3339), `key`, `value`, `headers` (list of `key`, `value`; left out when there are none).
 * Bytes that are not UTF-8 are in `keyBase64`, `valueBase64` instead; nothing is ever guessed.
 *
 * @param keySeparator printed between key and value with `value`; undefined: no key
 */
export function recordPrinter(format: RecordFormat, keySeparator: string | undefined): RecordPrinter {
  if (format === 'raw') return (record) => record.value ?? NOTHING;
  if (format === 'json') {
    return (record, more) => Buffer.from(`${JSON.stringify({ ...recordObject(record), ...more })}\n`);
  }
  if (keySeparator === undefined) return (record) => Buffer.concat([record.value ?? NOTHING, LINE_END]);
  const separator = Buffer.from(keySeparator);
  return (record) => Buffer.concat([record.key ?? NOTHING, separator, record.value ?? NOTHING, LINE_END]);
}

/** {@link recordPrinter} as a command's options say. @throws INVALID_ARGUMENT when they exclude each other */
export function printerFor(flags: PrintFlags, { stdout, stderr }: Terminal): RecordPrinter {
  if (flags.keySeparator !== undefined && flags.output !== 'value') {
    throw new SluiceError('INVALID_ARGUMENT', '--key-separator belongs to -o value.');
  }
  if (flags.output === 'raw' && stdout.isTTY && flags.quiet !== true) {
    stderr.line('sluice: raw bytes go to this terminal; -o value prints lines');
  }
  return recordPrinter(flags.output, flags.keySeparator);
}

/** What {@link recordPrinter} prints as JSON. */
export function recordObject(record: PrintedRecord): Record<string, unknown> {
  return {
    topic: record.topic,
    partition: record.partition,
    offset: record.offset,
    timestamp: new Date(record.timestampMs).toISOString(),
    ...named('key', record.key),
    ...named('value', record.value),
    ...(record.headers.length > 0 && {
      headers: record.headers.map((header) => ({ key: header.key, ...named('value', header.value) })),
    }),
  };
}

function named(name: string, bytes: Uint8Array | null): Record<string, string | null> {
  if (bytes === null) return { [name]: null };
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return isUtf8(buffer)
    ? { [name]: buffer.toString('utf8') }
    : { [`${name}Base64`]: buffer.toString('base64') };
}

/**
 * A record as JSON, the same in answers of HTTP, in frames of WebSocket, in events of SSE and in what the SDK exports:
 *
 *     { "topic": "orders", "partition": 0, "offset": 41, "timestamp": 1700000000000,
 *       "key": "a" | null, "value": "…" | null, "headers": { "name": "…" | null | ["…", …] },
 *       "encoding": "base64" | "json",      left out where key, value and header values are their text
 *       "token": "…", "attempt": 1 }        only of a queue
 *
 * `base64`: key, value and header values are base64. `json`: the value is the JSON document itself. A header that comes more than
 * once is a list.
 */
import { isUtf8 } from 'node:buffer';
import { SluiceError } from '../kernel/errors.ts';
import type { Header, WireRecord } from './record-cursor.ts';

/**
 * How bytes become JSON. `auto`: as text where all of a record is UTF-8, else base64; `base64`: always; `json`: a value that is a
 * JSON document as that, everything else as `auto`.
 */
export type RecordEncoding = 'auto' | 'base64' | 'json';

/** Where a record lies. */
export interface RecordPlace {
  readonly topic: string;
  readonly partition: number;
}

/** What a record of a queue has besides. */
export interface RecordLease {
  /** Settling names it; undefined where it was only looked at. @see src/wire/lease-token.ts */
  readonly token?: string | undefined;
  /** 1 for the first delivery. */
  readonly attempt: number;
}

const ENCODINGS: readonly RecordEncoding[] = ['auto', 'base64', 'json'];

/** @param text of a query; undefined: `auto`. @throws INVALID_ARGUMENT */
export function parseRecordEncoding(text: string | undefined): RecordEncoding {
  if (text === undefined) return 'auto';
  const encoding = ENCODINGS.find((each) => each === text);
  if (encoding) return encoding;
  throw new SluiceError('INVALID_ARGUMENT', `encoding is one of ${ENCODINGS.join(', ')}`);
}

/** The JSON text of a record, on one line. */
export function recordJson(
  record: Omit<WireRecord, 'headers'> & { readonly headers: readonly Header[] },
  { topic, partition }: RecordPlace,
  encoding: RecordEncoding,
  lease?: RecordLease,
): string {
  const { key, value, headers } = record;
  const isBinary = encoding === 'base64' || !isText(key, headers) || !(value === null || isUtf8(value));
  const document = encoding === 'json' && !isBinary ? jsonDocument(value) : undefined;
  const marked = isBinary ? ',"encoding":"base64"' : document === undefined ? '' : ',"encoding":"json"';
  const token = lease?.token === undefined ? '' : `,"token":"${lease.token}"`;
  const leased = lease ? `${token},"attempt":${lease.attempt}` : '';
  // A topic's name needs no escapes.
  return (
    `{"topic":"${topic}","partition":${partition},"offset":${record.offset},"timestamp":${record.timestampMs}` +
    `,"key":${bytesJson(key, isBinary)},"value":${document ?? bytesJson(value, isBinary)}` +
    `,"headers":${headersJson(headers, isBinary)}${marked}${leased}}`
  );
}

function isText(key: Buffer | null, headers: readonly Header[]): boolean {
  return (key === null || isUtf8(key)) && headers.every(({ value }) => value === null || isUtf8(value));
}

/** A value that is a JSON document as it is, with all its digits, on one line: line breaks in JSON are only space. */
function jsonDocument(value: Buffer | null): string | undefined {
  if (value === null) return undefined;
  const text = value.toString();
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  return text.replace(/[\r\n]+/g, ' ');
}

function bytesJson(bytes: Buffer | null, isBinary: boolean): string {
  if (bytes === null) return 'null';
  return isBinary ? `"${bytes.toString('base64')}"` : JSON.stringify(bytes.toString());
}

function headersJson(headers: readonly Header[], isBinary: boolean): string {
  if (headers.length === 0) return '{}';
  const values = new Map<string, string[]>();
  for (const { key, value } of headers) {
    const text = bytesJson(value, isBinary);
    const before = values.get(key);
    if (before) before.push(text);
    else values.set(key, [text]);
  }
  const members = [...values].map(
    ([key, texts]) => `${JSON.stringify(key)}:${texts.length === 1 ? texts[0]! : `[${texts.join(',')}]`}`,
  );
  return `{${members.join(',')}}`;
}

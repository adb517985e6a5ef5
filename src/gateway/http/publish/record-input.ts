/**
 * A record as a request says it in JSON:
 *
 *     { "key": "a" | null, "value": <anything>, "headers": { "name": "…" | null | ["…", …] }, "timestamp": 1700000000000,
 *       "encoding": "text" | "base64" | "json" }
 *
 * Without `encoding` a value that is a string is its text, null is no value, and anything else is stored as JSON. `text`: only strings.
 * `base64`: key, value and header values are base64. `json`: the value is stored as JSON, strings in quotes. So what an answer says of a record
 * can be published as it is: what only an answer has is not looked at.
 *
 * @see src/wire/record-json.ts
 */
import type { IncomingHttpHeaders } from 'node:http';
import { SluiceError } from '../../../kernel/errors.ts';
import { BATCH_MAX_RECORDS } from '../../../wire/record-batch.ts';
import type { HeaderInput } from '../../../wire/record-batch-encoder.ts';
import { parseJson } from '../body.ts';

/** A record to be published. */
export interface RecordInput {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly HeaderInput[];
  /** Milliseconds since 1970; undefined: now. */
  readonly timestampMs: number | undefined;
}

const NO_HEADERS: readonly HeaderInput[] = [];
const BASE64 = /^(?:[A-Za-z0-9+/_-]{4})*(?:[A-Za-z0-9+/_-]{2,3}={0,2})?$/;
const INPUT = new Set(['key', 'value', 'payload', 'headers', 'timestamp', 'encoding']);
const HEADER_PREFIX = 'x-sluice-header-';
const ONLY_ANSWERED = new Set(['topic', 'partition', 'offset', 'token', 'attempt']);

/**
 * A record whose value is a body: `X-Sluice-Key`, `X-Sluice-Timestamp` and `X-Sluice-Header-<name>` say the rest. Names of such headers are in
 * small letters, whatever was written.
 *
 * @param key what the query says, which counts before the header
 * @throws INVALID_ARGUMENT
 */
export function recordFromRequest(
  request: IncomingHttpHeaders,
  key: string | undefined,
  value: Buffer,
): RecordInput {
  const text = key ?? headerOf(request, 'x-sluice-key');
  const timestamp = headerOf(request, 'x-sluice-timestamp');
  return {
    key: text === undefined ? null : Buffer.from(text),
    value,
    headers: headersOfRequest(request),
    timestampMs: timestamp === undefined ? undefined : timestampOf(Number(timestamp), 'X-Sluice-Timestamp'),
  };
}

/** Records of NDJSON; empty lines do not count. @throws INVALID_ARGUMENT, BATCH_TOO_LARGE */
export function recordsFromLines(text: string): RecordInput[] {
  const records: RecordInput[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const where = `line ${index + 1}`;
    records.push(recordFromJson(parseJson(line, where), where));
    checkCount(records.length);
  }
  if (records.length === 0) throw wrong('the body', 'holds no records');
  return records;
}

/** Records of `{ "messages": […] }`. @throws INVALID_ARGUMENT, BATCH_TOO_LARGE */
export function recordsFromList(document: unknown): RecordInput[] {
  const messages = (document as { readonly messages?: unknown } | null | undefined)?.messages;
  if (!Array.isArray(messages) || messages.length === 0)
    throw wrong('the body', 'has to be an object with messages, a list of records');
  checkCount(messages.length);
  return messages.map((each, index) => recordFromJson(each, `message ${index}`));
}

/** A header of a request that is text, also where it was sent in UTF-8, which Node takes for Latin-1. */
export function headerOf(request: IncomingHttpHeaders, name: string): string | undefined {
  const value = request[name];
  if (value === undefined) return undefined;
  return Buffer.from(String(value), 'latin1').toString();
}

/** @param where what it is, for people. @throws INVALID_ARGUMENT */
export function recordFromJson(document: unknown, where = 'the record'): RecordInput {
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    throw wrong(
      where,
      'has to be an object with key, value and headers; ?raw=true publishes a body as it is',
    );
  const fields = document as Readonly<Record<string, unknown>>;
  checkNames(fields, where);
  const { key = null, headers, timestamp } = fields;
  const encoding = encodingOf(fields.encoding, where);
  const isBinary = encoding === 'base64';
  // What pubsub-broker's clients call it.
  const value = fields.value ?? fields.payload ?? null;
  return {
    key: bytesOf(key, isBinary, `${where}: key`),
    value: isJsonValue(value, encoding)
      ? Buffer.from(jsonOf(value, where))
      : bytesOf(value, isBinary, `${where}: value`),
    headers: headersOf(headers ?? undefined, isBinary, where),
    timestampMs: timestampOf(timestamp ?? undefined, where),
  };
}

function encodingOf(encoding: unknown, where: string): string | undefined {
  if (encoding === undefined || encoding === 'text' || encoding === 'base64' || encoding === 'json')
    return encoding;
  throw wrong(`${where}: encoding`, 'is one of text, base64, json');
}

function headersOfRequest(request: IncomingHttpHeaders): readonly HeaderInput[] {
  let found: HeaderInput[] | undefined;
  for (const name in request) {
    if (!name.startsWith(HEADER_PREFIX) || name.length === HEADER_PREFIX.length) continue;
    found ??= [];
    found.push({ key: name.slice(HEADER_PREFIX.length), value: Buffer.from(headerOf(request, name)!) });
  }
  return found ?? NO_HEADERS;
}

function checkCount(count: number): void {
  if (count <= BATCH_MAX_RECORDS) return;
  throw new SluiceError('BATCH_TOO_LARGE', `more than ${BATCH_MAX_RECORDS} records in one request`);
}

function checkNames(fields: Readonly<Record<string, unknown>>, where: string): void {
  for (const name in fields) {
    if (INPUT.has(name) || ONLY_ANSWERED.has(name)) continue;
    throw wrong(
      where,
      `has ${JSON.stringify(name.slice(0, 80))}, which is none of ${[...INPUT].join(', ')}; ?raw=true publishes a body as it is`,
    );
  }
}

function isJsonValue(value: unknown, encoding: string | undefined): boolean {
  if (value === null) return false;
  return encoding === 'json' || (encoding === undefined && typeof value !== 'string');
}

function jsonOf(value: unknown, where: string): string {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    // It is nested deeper than it can be walked.
    throw new SluiceError('INVALID_ARGUMENT', `${where}: value cannot be written as JSON`, { cause });
  }
}

function bytesOf(value: unknown, isBinary: boolean, where: string): Buffer | null {
  if (value === null) return null;
  if (typeof value !== 'string') throw wrong(where, 'has to be a string or null');
  if (!isBinary) return Buffer.from(value);
  if (!BASE64.test(value)) throw wrong(where, 'is no base64');
  return Buffer.from(value, 'base64');
}

function headersOf(headers: unknown, isBinary: boolean, where: string): readonly HeaderInput[] {
  if (headers === undefined) return NO_HEADERS;
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers))
    throw wrong(`${where}: headers`, 'has to be an object');
  const list: HeaderInput[] = [];
  for (const [key, value] of Object.entries(headers as Readonly<Record<string, unknown>>)) {
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    for (const each of values)
      list.push({ key, value: bytesOf(each, isBinary, `${where}: header ${key.slice(0, 80)}`) });
  }
  return list;
}

function timestampOf(timestamp: unknown, where: string): number | undefined {
  if (timestamp === undefined) return undefined;
  if (typeof timestamp === 'number' && Number.isSafeInteger(timestamp) && timestamp >= 0) return timestamp;
  throw wrong(`${where}: timestamp`, 'has to be milliseconds since 1970');
}

function wrong(where: string, what: string): SluiceError {
  return new SluiceError('INVALID_ARGUMENT', `${where} ${what}`);
}

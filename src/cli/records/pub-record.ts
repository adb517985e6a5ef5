import { SluiceError } from '../../kernel/errors.ts';

/** Key and value of one record to publish, headers aside. */
export interface KeyValue {
  readonly key: string | Uint8Array | undefined;
  /** null marks the key as deleted (a tombstone). */
  readonly value: string | Uint8Array | null;
}

/** How a line of input becomes a record. At most one of `keyField` and `keySeparator`. */
export interface LineFormat {
  /** Key of records whose line has none: what follows the topic in `TOPIC/KEY`. */
  readonly key: string | undefined;
  /** A field of each NDJSON line; dots go into objects. */
  readonly keyField: string | undefined;
  /** A field of each NDJSON line that alone becomes the value; default is the whole line. */
  readonly valueField: string | undefined;
  /** Text between key and value of each line. */
  readonly keySeparator: string | undefined;
}

/**
 * Makes the function that turns a line into a record, or into undefined for a line to skip (blank, where JSON is expected).
 *
 * @throws INVALID_ARGUMENT when options exclude each other; the function itself throws it for a line that does not fit
 */
export function lineParser(format: LineFormat): (line: Buffer, where: string) => KeyValue | undefined {
  const { key, keyField, valueField, keySeparator } = format;
  if (keySeparator !== undefined) {
    if (keyField !== undefined || valueField !== undefined)
      throw usage('--key-separator cannot be used with --key-field or --value-field');
    if (keySeparator === '') throw usage('--key-separator must not be empty');
    return (line, where) => separated(line, Buffer.from(keySeparator), where);
  }
  if (keyField !== undefined && key !== undefined)
    throw usage(`the key is given twice: '${key}' in the address and --key-field ${keyField}`);
  if (keyField === undefined && valueField === undefined) return (line) => ({ key, value: line });
  return (line, where) => (isBlank(line) ? undefined : fromJson(line, where, format));
}

function fromJson(line: Buffer, where: string, format: LineFormat): KeyValue {
  let object: unknown;
  try {
    object = JSON.parse(line.toString('utf8'));
  } catch {
    throw usage(`${where} is not JSON; --key-field and --value-field need one JSON object per line`);
  }
  const key = format.keyField === undefined ? format.key : fieldText(object, format.keyField, where);
  if (format.valueField === undefined) return { key, value: line };
  const value = field(object, format.valueField);
  if (value === undefined) throw usage(`${where} has no field '${format.valueField}'`);
  return { key, value: value === null ? null : asText(value) };
}

function fieldText(object: unknown, path: string, where: string): string {
  const found = field(object, path);
  if (found === undefined || found === null)
    throw usage(`${where} has no field '${path}' to take the key from`);
  return asText(found);
}

/** A property of that literal name first, then the dotted path. */
function field(object: unknown, path: string): unknown {
  if (typeof object !== 'object' || object === null) return undefined;
  if (Object.hasOwn(object, path)) return (object as Record<string, unknown>)[path];
  let at: unknown = object;
  for (const name of path.split('.')) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return undefined;
    at = (at as Record<string, unknown>)[name];
  }
  return at;
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function separated(line: Buffer, separator: Buffer, where: string): KeyValue {
  const at = line.indexOf(separator);
  if (at === -1) throw usage(`${where} has no key separator '${separator.toString()}'`);
  return { key: line.subarray(0, at), value: line.subarray(at + separator.length) };
}

function isBlank(line: Buffer): boolean {
  return line.every((byte) => byte === 0x20 || byte === 0x09);
}

function usage(message: string): SluiceError {
  return new SluiceError('INVALID_ARGUMENT', `${message}.`);
}

import { isUtf8 } from 'node:buffer';
import type { ReceivedRecord } from '../record.ts';

/**
 * A record as JSON text on one line, in the form that HTTP answers have: `topic`, `partition`, `offset`, `timestamp` (milliseconds since
 * 1970), `key`, `value`, `headers` (a list where one comes more than once). Where something is not UTF-8, `encoding` is `base64`, and key,
 * value and header values are.
 */
export function recordJson({
  topic,
  partition,
  offset,
  timestampMs,
  key,
  value,
  headers,
}: ReceivedRecord): string {
  const isText = [key, value, ...headers.map((header) => header.value)].every(
    (bytes) => bytes === null || isUtf8(bytes),
  );
  const shown = (bytes: Buffer | null): string | null => bytes?.toString(isText ? 'utf8' : 'base64') ?? null;
  const values = Map.groupBy(headers, (header) => header.key);
  const shownHeaders = [...values].map(([name, ofName]) => {
    const [first, ...more] = ofName.map((header) => shown(header.value));
    return [name, more.length === 0 ? first : [first, ...more]];
  });
  return JSON.stringify({
    topic,
    partition,
    offset,
    timestamp: timestampMs,
    key: shown(key),
    value: shown(value),
    headers: Object.fromEntries(shownHeaders) as object,
    ...(isText ? {} : { encoding: 'base64' }),
  });
}

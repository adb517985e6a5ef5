import { isUtf8 } from 'node:buffer';
import { SluiceError } from '../../kernel/errors.ts';
import type { RecordPlace } from '../../client/index.ts';

const SHORT_MAX = 48;
const PLACE = /^(\d{1,5}):(\d{1,16})$/;

/** Bytes for a cell of a table: one line of text, cut; `-` for none. */
export function shortText(bytes: Buffer | null): string {
  if (bytes === null) return '-';
  if (!isUtf8(bytes)) return `<${bytes.length} bytes>`;
  const text = bytes.toString('utf8').replace(/[\p{Cc}\p{Cf}]+/gu, ' ');
  return text.length <= SHORT_MAX ? text : `${text.slice(0, SHORT_MAX - 1)}…`;
}

/** Where a record lies, as people write it: `PARTITION:OFFSET`. */
export function placeText({ partition, offset }: RecordPlace): string {
  return `${partition}:${offset}`;
}

/** Reads what {@link placeText} writes. @throws INVALID_ARGUMENT for anything else */
export function parsePlace(text: string): RecordPlace {
  const [, partition, offset] = PLACE.exec(text) ?? [];
  const place = { partition: Number(partition), offset: Number(offset) };
  if (offset !== undefined && Number.isSafeInteger(place.offset)) return place;
  throw new SluiceError(
    'INVALID_ARGUMENT',
    `'${text}' is no record. Write PARTITION:OFFSET, for instance 0:17.`,
  );
}

import { SluiceError } from '../../kernel/errors.ts';
import type { Start } from '../../partition/reader.ts';
import type { RecordEncoding } from '../../wire/record-json.ts';
import { parseRecordEncoding } from '../../wire/record-json.ts';

const PLACE = /^(?:(earliest|latest)|(@?)(\d{1,16}))$/;

/**
 * A place in a partition as requests say it: `earliest`, `latest`, an offset, `@` and milliseconds since 1970.
 * @throws INVALID_ARGUMENT
 */
export function parsePlace(text: string): Exclude<Start, { at: 'last-per-key' }> {
  const [, word, isTime, digits] = PLACE.exec(text) ?? [];
  if (word === 'earliest' || word === 'latest') return { at: word };
  const number = Number(digits);
  if (!Number.isSafeInteger(number))
    throw new SluiceError(
      'INVALID_ARGUMENT',
      'a place is earliest, latest, an offset, or @ and milliseconds since 1970',
    );
  return isTime === '@' ? { at: 'timestamp', timestampMs: number } : { at: 'offset', offset: number };
}

/** How a client wants bytes in JSON; `text` is another word for the default. @throws INVALID_ARGUMENT for what there is not */
export function parseEncoding(text: string | undefined): RecordEncoding {
  return parseRecordEncoding(text === 'text' ? undefined : text);
}

import { timestampMs } from '@bufbuild/protobuf/wkt';
import type { NewMessage } from '../../gen/sluice/messages/v1/messages_pb.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { HeaderInput } from '../../wire/record-batch-encoder.ts';

/** Header of a record that says what it answers or belongs to. */
export const CORRELATION_HEADER = 'correlation-id';
/** Headers that a queue goes by: milliseconds since 1970, decimal. */
const DELIVER_AT_HEADER = 'sluice-deliver-at';
const EXPIRE_AT_HEADER = 'sluice-expire-at';

/** A record to be published. Key and value are views of the request. */
export interface NewRecord {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array;
  readonly headers: readonly HeaderInput[];
}

/** What a client wants published as a record. @throws INVALID_ARGUMENT without a message; KEY_TOO_LARGE */
export function newRecord(message: NewMessage | undefined, maxKeyBytes: number): NewRecord {
  if (!message) throw new SluiceError('INVALID_ARGUMENT', 'there is no message in the request');
  const { body, key, correlationId, deliverAt, expireAt } = message;
  if (key && key.length > maxKeyBytes)
    throw new SluiceError('KEY_TOO_LARGE', `a key of ${key.length} bytes; at most ${maxKeyBytes} are taken`);
  const headers: HeaderInput[] = message.headers.map((header) => ({
    key: header.key,
    value: header.value ?? null,
  }));
  if (correlationId !== '') headers.push(textHeader(CORRELATION_HEADER, correlationId));
  if (deliverAt) headers.push(textHeader(DELIVER_AT_HEADER, String(timestampMs(deliverAt))));
  if (expireAt) headers.push(textHeader(EXPIRE_AT_HEADER, String(timestampMs(expireAt))));
  return { key: key ?? null, value: body, headers };
}

function textHeader(key: string, value: string): HeaderInput {
  return { key, value: Buffer.from(value) };
}

import type { Header } from '../../wire/record-cursor.ts';

/** Header of a record that is not delivered before a time: milliseconds since 1970, decimal text. */
const DELIVER_AT = 'sluice-deliver-at';

/** Header of a record that is not delivered from a time on: milliseconds since 1970, decimal text. */
const EXPIRE_AT = 'sluice-expire-at';

/** Headers that say what a dead letter has been through. */
export const DEAD_LETTER_HEADERS = 'sluice-dlq-';

/** What all of them begin with. */
const MARK = Buffer.from('sluice-');
const TIME = /^\d{1,15}$/;

/** When a record may be delivered, milliseconds since 1970. */
export interface DeliveryTimes {
  readonly availableAtMs: number | undefined;
  readonly expiresAtMs: number | undefined;
}

/** Whether one of these records may have a header that says when it is delivered; false is certain. @param records inflated */
export function mayHaveDeliveryTimes(records: Buffer): boolean {
  return records.includes(MARK);
}

/** What the headers of a record say; what is no time says nothing, and the last of a kind counts. */
export function deliveryTimes(headers: readonly Header[]): DeliveryTimes {
  let availableAtMs: number | undefined;
  let expiresAtMs: number | undefined;
  for (const { key, value } of headers) {
    if (key === DELIVER_AT) availableAtMs = timeOf(value) ?? availableAtMs;
    else if (key === EXPIRE_AT) expiresAtMs = timeOf(value) ?? expiresAtMs;
  }
  return { availableAtMs, expiresAtMs };
}

/** Whether a header belongs to a delivery that is over once the record is a dead letter: its past ones, and the times of its first. */
export function isOfDelivery(key: string): boolean {
  return key === DELIVER_AT || key === EXPIRE_AT || key.startsWith(DEAD_LETTER_HEADERS);
}

function timeOf(value: Buffer | null): number | undefined {
  const text = value?.toString('latin1') ?? '';
  return TIME.test(text) ? Number(text) : undefined;
}

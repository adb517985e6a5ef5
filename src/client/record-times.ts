import { SluiceError } from '../kernel/errors.ts';
import type { HeaderInput } from '../wire/record-batch-encoder.ts';

/** When queues deliver a record; subscriptions and groups do not look at it. */
export interface DeliveryTimes {
  /** Queues do not deliver it before that time. Default: at once. */
  readonly deliverAt?: Date | undefined;
  /** Queues do not deliver it later than so long, in milliseconds, after it was published, or after `deliverAt`. Default: no end. */
  readonly ttlMs?: number | undefined;
}

/** Header of a record that is not delivered before a time: milliseconds since 1970, decimal text. */
const DELIVER_AT = 'sluice-deliver-at';
/** Header of a record that is not delivered from a time on: milliseconds since 1970, decimal text. */
const EXPIRE_AT = 'sluice-expire-at';

/** `headers`, and those that say when the record is delivered. @param nowMs milliseconds since 1970 @throws INVALID_ARGUMENT */
export function withDeliveryTimes(
  headers: readonly HeaderInput[],
  { deliverAt, ttlMs }: DeliveryTimes,
  nowMs: number,
): readonly HeaderInput[] {
  if (deliverAt === undefined && ttlMs === undefined) return headers;
  const all = [...headers];
  const atMs = deliverAt?.getTime();
  if (atMs !== undefined) all.push(timeHeader(DELIVER_AT, atMs, 'deliverAt'));
  if (ttlMs !== undefined) {
    if (!(ttlMs > 0)) throw new SluiceError('INVALID_ARGUMENT', `ttlMs ${ttlMs} is not above 0`);
    all.push(timeHeader(EXPIRE_AT, Math.max(nowMs, atMs ?? 0) + ttlMs, 'ttlMs'));
  }
  return all;
}

function timeHeader(key: string, timeMs: number, option: string): HeaderInput {
  if (!(timeMs >= 0) || !Number.isSafeInteger(Math.ceil(timeMs))) {
    throw new SluiceError('INVALID_ARGUMENT', `${option}: that is no time from 1970 on`);
  }
  return { key, value: Buffer.from(String(Math.ceil(timeMs))) };
}

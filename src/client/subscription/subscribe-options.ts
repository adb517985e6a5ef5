import { SluiceError } from '../../kernel/errors.ts';
import { DeliveryMode, GapPolicy } from '../../gen/sluice/client/v1/subscription_pb.ts';
import type { RequestBody } from '../connection/pending-requests.ts';
import { withDefaults } from '../with-defaults.ts';

/** A place in a partition. */
export interface Position {
  readonly topic: string;
  readonly partition: number;
  /** Next offset wanted. */
  readonly offset: number;
}

/**
 * Where to begin: what is published from now on (`latest`, the default), what is retained (`earliest`), an offset (number), the
 * first record with that time or later (Date), or the latest record of each key and then everything new (`last-per-key`).
 */
export type StartPosition = 'latest' | 'earliest' | 'last-per-key' | number | Date;

/** How a subscription shall be. */
export interface SubscribeOptions {
  /** Default `latest`. */
  readonly from?: StartPosition;
  /** Only these partitions, of a filter that is one topic and no wildcard. Default: all. */
  readonly partitions?: readonly number[];
  /** Places to go on at, as `positions()` gave them; partitions not named use `from`. */
  readonly resume?: readonly Position[];
  /**
   * `ordered` (default): one stream per partition. `unordered`: a stream per batch, so that a lost packet delays its own batch
   * only. `datagram`: unreliable, newest wins; what is missing is counted in `stats()`.
   */
  readonly delivery?: 'ordered' | 'unordered' | 'datagram';
  /** When retention took records that were not read yet: go on after them (`skip`, default) or end with GAP. */
  readonly onGap?: 'skip' | 'end';
  /** Which subscriptions of this connection go first: 0 (first) to 7 (last). Default 3. */
  readonly urgency?: number;
  /** Bytes of batches that wait here to be read before the broker is held back. Default 1 MiB. */
  readonly bufferBytes?: number;
  /** Name in the broker's status and metrics, at most 256 bytes. Default: the filter. */
  readonly name?: string;
  /** Begin paused. */
  readonly paused?: boolean;
}

/** {@link SubscribeOptions} with everything decided. */
export interface SubscriptionPlan {
  readonly filter: string;
  readonly from: StartPosition;
  readonly partitions: readonly number[];
  readonly resume: readonly Position[];
  readonly delivery: 'ordered' | 'unordered' | 'datagram';
  readonly onGap: 'skip' | 'end';
  readonly urgency: number;
  readonly bufferBytes: number;
  readonly name: string;
}

type StartMessage = Exclude<RequestBody<'listOffsets'>['at'], undefined>;

const DELIVERY = {
  ordered: DeliveryMode.ORDERED,
  unordered: DeliveryMode.UNORDERED,
  datagram: DeliveryMode.DATAGRAM,
} as const;

const DEFAULTS: Omit<SubscriptionPlan, 'filter' | 'name'> = {
  from: 'latest',
  partitions: [],
  resume: [],
  delivery: 'ordered',
  onGap: 'skip',
  urgency: 3,
  bufferBytes: 1024 * 1024,
};

/** Decides what was left open. @throws INVALID_ARGUMENT when a value cannot be */
export function planSubscription(filter: string, options: SubscribeOptions): SubscriptionPlan {
  const plan: SubscriptionPlan = { filter, ...withDefaults({ ...DEFAULTS, name: filter }, options) };
  if (!Number.isInteger(plan.urgency) || plan.urgency < 0 || plan.urgency > 7) {
    throw new SluiceError('INVALID_ARGUMENT', `urgency ${plan.urgency} is not one of 0 to 7`);
  }
  if (!(plan.bufferBytes > 0)) throw new SluiceError('INVALID_ARGUMENT', 'bufferBytes must be above 0');
  for (const { offset } of plan.resume) checkOffset(offset);
  startMessage(plan.from);
  return plan;
}

/** The request that opens a subscription. @param from where partitions that `resume` does not name begin */
export function subscribeRequest(
  plan: SubscriptionPlan,
  subscriptionId: number,
  from: StartPosition,
  resume: readonly Position[],
  paused: boolean,
): RequestBody<'subscribe'> {
  return {
    subscriptionId,
    filter: plan.filter,
    start: startMessage(from),
    resume: resume.map(({ topic, partition, offset }) => ({ topic, partition, offset: BigInt(offset) })),
    delivery: DELIVERY[plan.delivery],
    onGap: plan.onGap === 'end' ? GapPolicy.END : GapPolicy.SKIP,
    urgencyPlusOne: plan.urgency + 1,
    name: plan.name,
    paused,
    partitions: [...plan.partitions],
  };
}

/** A start position as the wire has it. @throws INVALID_ARGUMENT when it is no offset, time or name */
export function startMessage(from: StartPosition): StartMessage {
  if (typeof from === 'number') return { at: { case: 'offset', value: checkOffset(from) } };
  if (from instanceof Date) {
    const timeMs = from.getTime();
    if (!(timeMs >= 0)) throw new SluiceError('INVALID_ARGUMENT', 'from: the date is invalid or before 1970');
    return { at: { case: 'timestampMs', value: BigInt(timeMs) } };
  }
  switch (from) {
    case 'latest':
      return { at: { case: 'latest', value: true } };
    case 'earliest':
      return { at: { case: 'earliest', value: true } };
    case 'last-per-key':
      return { at: { case: 'lastPerKey', value: true } };
    default:
      throw new SluiceError('INVALID_ARGUMENT', `from: '${String(from)}' is no start position`);
  }
}

function checkOffset(offset: number): bigint {
  if (!Number.isSafeInteger(offset) || offset < 0) {
    throw new SluiceError('INVALID_ARGUMENT', `${offset} is no offset: use a whole number from 0`);
  }
  return BigInt(offset);
}

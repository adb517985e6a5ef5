import { SluiceError } from '../../kernel/errors.ts';
import { withDefaults } from '../with-defaults.ts';

/** How a consumer of a queue shall be. Times in milliseconds, sizes in bytes. */
export interface QueueOptions {
  /** Consumers of one group share the records; each group has all of them. Default `default`. */
  readonly group?: string;
  /** How long a record is this consumer's before it is delivered again, 10 ms to 12 hours. Default: as the queue is configured, 30 s. */
  readonly leaseMs?: number;
  /** Records leased and not settled that this consumer may have, while it is iterated or processes. Default 1,000. */
  readonly credit?: number;
  /** Bytes of batches that wait here; no more are asked for beyond it. Default 8 MiB. */
  readonly bufferBytes?: number;
  /** Who holds a lease, for people. Default: the client's id. */
  readonly consumerId?: string;
}

/** {@link QueueOptions} with everything decided. */
export interface QueuePlan {
  readonly topic: string;
  readonly group: string;
  /** 0: that of the queue. */
  readonly leaseMs: number;
  readonly credit: number;
  readonly bufferBytes: number;
  readonly consumerId: string;
}

/** Group of a queue that is not named. */
export const DEFAULT_QUEUE_GROUP = 'default';
/** One request asks for no more records. */
export const RECEIVE_MAX_RECORDS = 10_000;
const LEASE = { minMs: 10, maxMs: 12 * 3_600_000 };
const DEFAULTS = {
  group: DEFAULT_QUEUE_GROUP,
  leaseMs: 0,
  credit: 1000,
  bufferBytes: 8 * 1024 * 1024,
};

/** Decides what was left open. @throws INVALID_ARGUMENT when a value cannot be */
export function planQueue(topic: string, clientId: string, options: QueueOptions): QueuePlan {
  const plan = { topic, ...withDefaults({ ...DEFAULTS, consumerId: clientId }, options) };
  if (!Number.isInteger(plan.credit) || plan.credit < 1) {
    throw new SluiceError('INVALID_ARGUMENT', `credit ${plan.credit} is no whole number above 0`);
  }
  if (!(plan.bufferBytes > 0)) throw new SluiceError('INVALID_ARGUMENT', 'bufferBytes must be above 0');
  if (plan.leaseMs !== 0) checkLeaseMs(plan.leaseMs);
  return plan;
}

/** Checks how long records are to be leased. @throws INVALID_ARGUMENT outside {@link LEASE} */
export function checkLeaseMs(leaseMs: number): void {
  if (Number.isInteger(leaseMs) && leaseMs >= LEASE.minMs && leaseMs <= LEASE.maxMs) return;
  throw new SluiceError(
    'INVALID_ARGUMENT',
    `leaseMs ${leaseMs} is not between ${LEASE.minMs} and ${LEASE.maxMs}`,
  );
}

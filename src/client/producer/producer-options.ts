import { SluiceError } from '../../kernel/errors.ts';
import type { Codec } from '../../wire/codecs.ts';
import type { Acks } from '../../wire/produce.ts';
import { withDefaults } from '../with-defaults.ts';

/** How a producer shall be. Sizes in bytes, times in milliseconds. */
export interface ProducerOptions {
  /**
   * Longest time a record waits for company. A record whose partition has nothing on its way goes at once; only while an answer
   * is awaited do records gather, until it comes, the batch is full, or this time is over. Default 5.
   */
  readonly lingerMs?: number;
  /** A batch is sent when it has reached this size before compression. Default 256 KiB. */
  readonly batchBytes?: number;
  /** Default `none`. */
  readonly compression?: Codec;
  /** When a send counts as done: stored by all in-sync replicas (`all`, default), by the leader, or written to the connection (`none`). */
  readonly acks?: 'none' | 'leader' | 'all';
  /** Whether the broker recognizes repeated batches, so that a retry never stores a record twice. Default true, except with acks `none`. */
  readonly idempotent?: boolean;
  /** Attempts after the first. Default: as many as fit into `deliveryTimeoutMs`. */
  readonly retries?: number;
  /** Batches of one partition on their way at once, 1 to 5. Default 5; 1 for a producer that is not idempotent, to keep order. */
  readonly maxInFlight?: number;
  /** Time from the call to the answer, retries included; a record not answered then is rejected with TIMEOUT. Default 120,000. */
  readonly deliveryTimeoutMs?: number;
  /** Bytes of records taken and not answered; `offer` refuses and `send` waits beyond it. Default 32 MiB. */
  readonly bufferBytes?: number;
}

/** {@link ProducerOptions} with everything decided. */
export interface ProducerPlan {
  readonly lingerMs: number;
  readonly batchBytes: number;
  readonly codec: Codec;
  readonly acks: Acks;
  readonly idempotent: boolean;
  readonly retries: number;
  readonly maxInFlight: number;
  readonly deliveryTimeoutMs: number;
  readonly bufferBytes: number;
}

/** The broker remembers this many batches of each producer and partition. */
const REMEMBERED_BATCHES = 5;
const ACKS = { none: 0, leader: 1, all: 2 } as const;
const KiB = 1024;
const DEFAULTS = {
  lingerMs: 5,
  batchBytes: 256 * KiB,
  retries: Number.POSITIVE_INFINITY,
  deliveryTimeoutMs: 120_000,
  bufferBytes: 32 * KiB * KiB,
};

/** Decides what was left open. @throws INVALID_ARGUMENT when values contradict each other */
export function planProducer(options: ProducerOptions): ProducerPlan {
  const acks = ACKS[options.acks ?? 'all'];
  const idempotent = options.idempotent ?? acks !== 0;
  const maxInFlight = idempotent || acks === 0 ? REMEMBERED_BATCHES : 1;
  const codec = options.compression ?? 'none';
  const plan = { ...withDefaults({ ...DEFAULTS, maxInFlight }, options), codec, acks, idempotent };
  checkPlan(plan);
  return plan;
}

function checkPlan(plan: ProducerPlan): void {
  if (plan.idempotent && plan.acks === 0) {
    throw new SluiceError('INVALID_ARGUMENT', "an idempotent producer needs answers: acks 'leader' or 'all'");
  }
  if (!(plan.maxInFlight >= 1) || plan.maxInFlight > REMEMBERED_BATCHES) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `maxInFlight ${plan.maxInFlight} is not one of 1 to ${REMEMBERED_BATCHES}`,
    );
  }
  if (!(plan.batchBytes > 0) || !(plan.bufferBytes > 0) || !(plan.lingerMs >= 0)) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      'batchBytes and bufferBytes must be above 0, lingerMs not below',
    );
  }
}

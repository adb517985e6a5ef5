import type { GapEvent } from '../subscription/delivery-buffer.ts';
import type { Job } from './job.ts';
import type { UnsettledEvent } from './settlements.ts';

/** Events of a consumer of a queue. */
export interface QueueEvents {
  /** Records are not this consumer's any more, or nobody said that their settlement is stored: they may be delivered again. */
  unsettled: UnsettledEvent;
  /** A handler of `process` threw; its record was given back with `nack`. */
  failed: { readonly job: Job; readonly error: unknown };
  /** Retention took records before anybody could have them. */
  gap: GapEvent;
}

import type { Start as WireStart } from '../../gen/sluice/client/v1/subscription_pb.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { Start } from '../../partition/reader.ts';
import { startFromWire } from '../../partition/start-wire.ts';

/** A start that is one offset of each partition. */
export type OffsetStart = Exclude<Start, { readonly at: 'last-per-key' }>;

/** As {@link startFromWire}. @throws INVALID_ARGUMENT for last_per_key; what that throws */
export function offsetStartFromWire(wire: WireStart | undefined): OffsetStart {
  const start = startFromWire(wire);
  if (start.at !== 'last-per-key') return start;
  throw new SluiceError('INVALID_ARGUMENT', 'last-per-key is not one offset');
}

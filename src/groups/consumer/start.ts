import type { Start as WireStart } from '../../gen/sluice/client/v1/subscription_pb.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { Start } from '../../partition/reader.ts';
import { offsetFromWire, offsetToWire } from '../../wire/offset.ts';

/** A start that is one offset of each partition. */
export type OffsetStart = Exclude<Start, { readonly at: 'last-per-key' }>;

/** Where to begin; not said: at the end. @throws INVALID_ARGUMENT for last_per_key; OFFSET_OUT_OF_RANGE */
export function startFromWire(start: WireStart | undefined): OffsetStart {
  const at = start?.at;
  switch (at?.case) {
    case 'earliest':
      return { at: 'earliest' };
    case 'offset':
      return { at: 'offset', offset: offsetFromWire(at.value) };
    case 'timestampMs':
      return { at: 'timestamp', timestampMs: offsetFromWire(at.value) };
    case 'lastPerKey':
      throw new SluiceError('INVALID_ARGUMENT', 'last-per-key is not one offset');
    default:
      return { at: 'latest' };
  }
}

/** Where to begin, as a message. */
export function startToWire(start: OffsetStart): { at: WireStart['at'] } {
  switch (start.at) {
    case 'latest':
      return { at: { case: 'latest', value: true } };
    case 'earliest':
      return { at: { case: 'earliest', value: true } };
    case 'offset':
      return { at: { case: 'offset', value: offsetToWire(start.offset) } };
    case 'timestamp':
      return { at: { case: 'timestampMs', value: offsetToWire(start.timestampMs) } };
  }
}

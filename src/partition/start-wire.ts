import type { Start as WireStart } from '../gen/sluice/client/v1/subscription_pb.ts';
import { numberFromWire, numberToWire, offsetFromWire, offsetToWire } from '../wire/offset.ts';
import type { Start } from './reader.ts';

/** Where to begin, as a message. A time is cut to whole milliseconds, none before 1970. */
export function startToWire(start: Start): { at: WireStart['at'] } {
  switch (start.at) {
    case 'latest':
      return { at: { case: 'latest', value: true } };
    case 'earliest':
      return { at: { case: 'earliest', value: true } };
    case 'last-per-key':
      return { at: { case: 'lastPerKey', value: true } };
    case 'offset':
      return { at: { case: 'offset', value: offsetToWire(start.offset) } };
    case 'timestamp':
      return { at: { case: 'timestampMs', value: numberToWire(start.timestampMs) } };
  }
}

/** Where to begin; not said: at the end. @throws OFFSET_OUT_OF_RANGE; INVALID_ARGUMENT for a time above 2^53 − 1 */
export function startFromWire(start: WireStart | undefined): Start {
  const at = start?.at;
  switch (at?.case) {
    case 'earliest':
      return { at: 'earliest' };
    case 'offset':
      return { at: 'offset', offset: offsetFromWire(at.value) };
    case 'timestampMs':
      return { at: 'timestamp', timestampMs: numberFromWire('timestamp_ms', at.value) };
    case 'lastPerKey':
      return { at: 'last-per-key' };
    default:
      return { at: 'latest' };
  }
}

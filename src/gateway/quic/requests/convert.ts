import type { Position } from '../../../broker/views.ts';
import type {
  Position as WirePosition,
  Start as WireStart,
} from '../../../gen/sluice/client/v1/subscription_pb.ts';
import { SluiceError } from '../../../kernel/errors.ts';
import type { Start } from '../../../partition/reader.ts';
import { offsetFromWire, offsetToWire } from '../../../wire/offset.ts';
import type { NodeUrls } from '../gateway-context.ts';

/** A node as clients are told of it. */
export function nodeToWire({ nodeId, urls, zone }: NodeUrls): {
  nodeId: string;
  urls: string[];
  zone: string;
} {
  return { nodeId, urls: [...urls], zone };
}

/** A u64 that is no offset: a size, a time, a count. @throws INVALID_ARGUMENT above 2^53 − 1 */
export function numberFromWire(field: string, value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new SluiceError('INVALID_ARGUMENT', `${field} is above 2^53 − 1`);
  }
  return Number(value);
}

/** A count, size or time as a u64; fractions are cut. */
export function numberToWire(value: number): bigint {
  return BigInt(Math.max(0, Math.trunc(value)));
}

/** @throws OFFSET_OUT_OF_RANGE, INVALID_ARGUMENT */
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

/** @throws OFFSET_OUT_OF_RANGE */
export function positionFromWire({ topic, partition, offset }: WirePosition): Position {
  return { topic, partition, offset: offsetFromWire(offset) };
}

/** A position as a control message carries it. */
export function positionToWire({ topic, partition, offset }: Position): {
  topic: string;
  partition: number;
  offset: bigint;
} {
  return { topic, partition, offset: offsetToWire(offset) };
}

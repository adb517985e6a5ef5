import type { Position } from '../../../broker/views.ts';
import type { Position as WirePosition } from '../../../gen/sluice/client/v1/subscription_pb.ts';
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

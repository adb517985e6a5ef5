import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { QueueDeltaSchema } from '../../gen/sluice/groups/v1/queue_state_pb.ts';
import { eventFromWire, eventToWire } from './queue-event-codec.ts';
import type { QueueEvent } from './queue-event.ts';
import { safeNumber } from './stored-runs.ts';

/** What changed in one turn; each has the number of the one before, and 1. */
export interface QueueDelta {
  readonly number: number;
  readonly events: readonly QueueEvent[];
}

/** @see proto/sluice/groups/v1/queue_state.proto */
export function encodeDelta({ number, events }: QueueDelta): Buffer {
  const message = create(QueueDeltaSchema, { number: BigInt(number), events: events.map(eventToWire) });
  return Buffer.from(toBinary(QueueDeltaSchema, message));
}

/** @throws CORRUPT_LOG for events that cannot be, and what protobuf throws for bytes that are no delta */
export function decodeDelta(bytes: Buffer): QueueDelta {
  const message = fromBinary(QueueDeltaSchema, bytes);
  return { number: safeNumber(message.number), events: message.events.map(eventFromWire) };
}

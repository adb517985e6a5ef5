import type { Position, SubscriptionStatus } from '../../../broker/views.ts';
import { DeliveryMode, GapPolicy } from '../../../gen/sluice/client/v1/subscription_pb.ts';
import type { SubscribeRequest } from '../../../gen/sluice/client/v1/subscription_pb.ts';
import { SluiceError } from '../../../kernel/errors.ts';
import { startFromWire } from '../../../partition/start-wire.ts';
import { RESPONSE_MAX_BYTES } from '../../../wire/frame.ts';
import { numberToWire, offsetToWire } from '../../../wire/offset.ts';
import type { SubscriptionOptions } from '../subscription.ts';
import { ClientSubscription } from '../subscription.ts';
import { positionFromWire, positionToWire } from './convert.ts';
import type { RequestHandlers } from './handler.ts';

const NAME_MAX_BYTES = 256;
const DEFAULT_URGENCY = 3;
const MAX_URGENCY = 7;
/** Bytes of a position in a response besides its topic, at most: tags, lengths, partition, offset. */
const POSITION_OVERHEAD_BYTES = 24;

/** Requests about this connection's subscriptions, and the list of all. */
export const subscriptionHandlers: RequestHandlers<
  'subscribe' | 'unsubscribe' | 'pause' | 'resume' | 'listSubscriptions'
> = {
  async subscribe(session, request) {
    const positions = await ClientSubscription.open(session, optionsFromWire(request));
    return { positions: asManyAsFit(positions).map(positionToWire) };
  },
  unsubscribe(session, { subscriptionId }) {
    session.subscriptions.require(subscriptionId).end(undefined, 'unsubscribed');
    return {};
  },
  pause(session, { subscriptionId }) {
    session.subscriptions.require(subscriptionId).pause();
    return {};
  },
  resume(session, { subscriptionId }) {
    session.subscriptions.require(subscriptionId).resume();
    return {};
  },
  listSubscriptions(session) {
    const subscriptions = session.context.broker.listSubscriptions(session.requireIdentity());
    return { subscriptions: subscriptions.map(statusToWire) };
  },
};

/** @throws INVALID_ARGUMENT, OFFSET_OUT_OF_RANGE */
function optionsFromWire(request: SubscribeRequest): SubscriptionOptions {
  const { subscriptionId, filter, name, paused, urgencyPlusOne, partitions } = request;
  if (subscriptionId === 0) throw new SluiceError('INVALID_ARGUMENT', 'subscription ids begin at 1');
  if (Buffer.byteLength(name) > NAME_MAX_BYTES) {
    throw new SluiceError('INVALID_ARGUMENT', `names of subscriptions have at most ${NAME_MAX_BYTES} bytes`);
  }
  if (urgencyPlusOne > MAX_URGENCY + 1) {
    throw new SluiceError('INVALID_ARGUMENT', `urgencies are 0 to ${MAX_URGENCY}`);
  }
  return {
    subscriptionId,
    raw: false,
    name,
    filter,
    start: startFromWire(request.start),
    resume: request.resume.map(positionFromWire),
    partitions: partitions.length === 0 ? undefined : partitions,
    delivery: deliveryFromWire(request.delivery),
    endAtGap: request.onGap === GapPolicy.END,
    urgency: urgencyPlusOne === 0 ? DEFAULT_URGENCY : urgencyPlusOne - 1,
    paused,
  };
}

function deliveryFromWire(mode: DeliveryMode): SubscriptionOptions['delivery'] {
  switch (mode) {
    case DeliveryMode.UNSPECIFIED:
    case DeliveryMode.ORDERED:
      return 'ordered';
    case DeliveryMode.UNORDERED:
      return 'unordered';
    case DeliveryMode.DATAGRAM:
      return 'datagram';
    default:
      throw new SluiceError('INVALID_ARGUMENT', 'this broker does not know the delivery mode');
  }
}

const DELIVERY_TO_WIRE = {
  ordered: DeliveryMode.ORDERED,
  unordered: DeliveryMode.UNORDERED,
  datagram: DeliveryMode.DATAGRAM,
} as const;

function statusToWire(status: SubscriptionStatus) {
  return {
    connection: status.connection,
    clientId: status.clientId,
    principal: status.principal,
    subscriptionId: status.subscriptionId,
    name: status.name,
    filter: status.filter,
    topic: status.topic,
    partition: status.partition,
    nextOffset: offsetToWire(status.nextOffset),
    lagRecords: numberToWire(status.lagRecords),
    lagBytes: numberToWire(status.lagBytes),
    lagMs: numberToWire(status.lagMs),
    blockedMs: numberToWire(status.blockedMs),
    gapRecords: numberToWire(status.gapRecords),
    delivery: DELIVERY_TO_WIRE[status.delivery],
    paused: status.paused,
  };
}

/** A wildcard may match more partitions than a response can name; the others say their position in STREAM_OPEN. */
function asManyAsFit(positions: readonly Position[]): readonly Position[] {
  let bytes = 0;
  const end = positions.findIndex(({ topic }) => {
    bytes += topic.length + POSITION_OVERHEAD_BYTES;
    return bytes > RESPONSE_MAX_BYTES - 1024;
  });
  return end < 0 ? positions : positions.slice(0, end);
}

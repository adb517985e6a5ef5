import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Acks } from '../../broker/broker.ts';
import type {
  PublishRequest,
  PublishResponseSchema,
  PublishResultSchema,
  PublishStreamRequest,
  PublishStreamResponseSchema,
} from '../../gen/sluice/messages/v1/messages_pb.ts';
import { Acks as RequestedAcks } from '../../gen/sluice/messages/v1/messages_pb.ts';
import type { SluiceError } from '../../kernel/errors.ts';
import { asSluiceError } from '../../kernel/errors.ts';
import { checkCount, failureOf } from './failure.ts';
import type { MessageContext } from './message-context.ts';
import { newRecord } from './new-record.ts';
import type { Caller } from './ports.ts';
import type { Intake } from './service-calls.ts';
import type { Published, PublishRoute } from './record-publisher.ts';

/**
 * Publishes what one request brings.
 * @throws INVALID_ARGUMENT for none or too many; of a single message why it could not be stored
 */
export async function publish(
  context: MessageContext,
  { principal }: Caller,
  { topic, messages, partition, acks }: PublishRequest,
): Promise<MessageInitShape<typeof PublishResponseSchema>> {
  checkCount(messages.length, 'messages');
  const route = { principal, topic, partition, acks: toAcks(acks) };
  const outcomes = await Promise.all(
    messages.map((message) =>
      publishOne(context, route, message).catch((error: unknown) => asSluiceError(error)),
    ),
  );
  const [first] = outcomes;
  if (outcomes.length === 1 && first && 'code' in first) throw first;
  return { results: outcomes.map((outcome) => toResult(context, outcome)) };
}

/** What a client streams to be published, one after the other. */
export class PublishStream implements Intake<
  PublishStreamRequest,
  MessageInitShape<typeof PublishStreamResponseSchema>
> {
  readonly #context: MessageContext;
  readonly #caller: Caller;
  #topic = '';
  #acks: Acks | undefined;
  #published = 0;

  constructor(context: MessageContext, caller: Caller) {
    this.#context = context;
    this.#caller = caller;
  }

  /** Publishes one message; those of one partition are stored in the order of the calls. @throws why it could not be stored */
  async take({ topic, message, partition, acks }: PublishStreamRequest): Promise<void> {
    if (topic !== '') this.#topic = topic;
    this.#acks ??= toAcks(acks);
    const { principal } = this.#caller;
    const route = { principal, topic: this.#topic, partition, acks: this.#acks };
    await publishOne(this.#context, route, message);
    this.#published += 1;
  }

  answer(): MessageInitShape<typeof PublishStreamResponseSchema> {
    return { published: BigInt(this.#published) };
  }
}

async function publishOne(
  { publisher, limits, counters }: MessageContext,
  route: PublishRoute,
  message: PublishStreamRequest['message'],
): Promise<Published> {
  const published = await publisher.publish(route, newRecord(message, limits.maxKeyBytes));
  counters.published += 1;
  return published;
}

function toResult(
  { counters }: MessageContext,
  outcome: Published | SluiceError,
): MessageInitShape<typeof PublishResultSchema> {
  if (!('code' in outcome))
    return { partition: outcome.partition, offset: BigInt(Math.max(0, outcome.offset)) };
  counters.countError(outcome.code);
  return { failure: failureOf(outcome) };
}

function toAcks(acks: RequestedAcks): Acks {
  if (acks === RequestedAcks.NONE) return 0;
  return acks === RequestedAcks.LEADER ? 1 : 2;
}

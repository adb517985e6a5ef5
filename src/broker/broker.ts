import type { SluiceError } from '../kernel/errors.ts';
import type { PartitionReader, Start } from '../partition/reader.ts';
import type { Credentials, NewToken, Principal, SubscriberInfo, TokenDescription } from './ports.ts';
import type {
  BrokerStatus,
  Position,
  SubscriptionStatus,
  TopicDescription,
  TopicMetadata,
  TopicSettingsChange,
} from './views.ts';

/** Answer to a publish. */
export interface PublishOutcome {
  /** `duplicate`: this idempotent batch had been stored before; the offsets are those of then. */
  readonly kind: 'appended' | 'duplicate';
  readonly partition: number;
  readonly baseOffset: number;
  /** Milliseconds since 1970 where the topic stamps append time, else 0. */
  readonly appendTimeMs: number;
}

/** What a subscription wants. */
export interface SubscribeOptions {
  /** Filter, docs/protocol.md section 3. */
  readonly filter: string;
  readonly start: Start;
  /** Explicit positions; partitions not named use `start`. */
  readonly resume?: readonly Position[] | undefined;
  readonly subscriber: SubscriberInfo;
}

/** A live subscription. */
export interface Subscription {
  readonly filter: string;
  /** Where each partition that is open now goes on. */
  positions(): readonly Position[];
  /** Closes its readers and takes no new partitions. Idempotent. */
  close(): void;
}

export declare class Broker {
  authenticate(credentials: Credentials): Principal;
  publish(
    principal: Principal,
    topic: string,
    partition: number | undefined,
    batch: Buffer,
    acks: 0 | 1 | 2,
    done: (outcome: PublishOutcome | SluiceError) => void,
  ): void;
  subscribe(
    principal: Principal,
    options: SubscribeOptions,
    onPartition: (reader: PartitionReader) => void,
  ): Promise<Subscription>;
  metadata(
    principal: Principal,
    topics: readonly string[],
    autoCreate: boolean,
  ): Promise<readonly TopicMetadata[]>;
  createTopic(
    principal: Principal,
    request: {
      readonly name: string;
      readonly partitions?: number | undefined;
      readonly settings?: TopicSettingsChange | undefined;
      readonly ifNotExists?: boolean | undefined;
    },
  ): Promise<TopicDescription>;
  alterTopic(
    principal: Principal,
    request: {
      readonly name: string;
      readonly partitions?: number | undefined;
      readonly settings?: TopicSettingsChange | undefined;
    },
  ): Promise<TopicDescription>;
  deleteTopic(principal: Principal, name: string): Promise<void>;
  listTopics(principal: Principal, options: { readonly internal: boolean }): readonly TopicDescription[];
  describeTopic(principal: Principal, name: string): TopicDescription;
  listOffsets(
    principal: Principal,
    topic: string,
    partitions: readonly number[],
    at: Start,
  ): Promise<readonly Position[]>;
  listSubscriptions(principal: Principal): readonly SubscriptionStatus[];
  initProducer(
    principal: Principal,
  ): Promise<{ readonly producerId: number; readonly producerEpoch: number }>;
  createToken(
    principal: Principal,
    token: NewToken,
  ): Promise<{ readonly id: string; readonly token: string }>;
  listTokens(principal: Principal): readonly TokenDescription[];
  revokeToken(principal: Principal, id: string): Promise<void>;
  status(principal: Principal): BrokerStatus;
  /** From now on publishes, subscriptions and changes are refused with DRAINING. */
  drain(): void;
  [Symbol.asyncDispose](): Promise<void>;
}

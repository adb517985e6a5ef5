import type { Position as WirePosition } from '../../gen/sluice/client/v1/subscription_pb.ts';
import { offsetFromWire } from '../../wire/offset.ts';
import type {
  Grant,
  NodeStatus,
  SubscriptionStatus,
  TokenDescription,
  TopicDescription,
  TopicSettingsChange,
} from './admin-views.ts';
import {
  nodeFromWire,
  settingsToWire,
  subscriptionFromWire,
  tokenFromWire,
  topicFromWire,
} from './admin-views.ts';
import type { ClusterStatus, OnlyCopies } from './cluster-views.ts';
import { clusterFromWire } from './cluster-views.ts';
import type { AskGroup } from '../group-requests.ts';
import { GroupAdmin } from '../groups/admin.ts';
import { QueueAdmin } from '../queues/admin.ts';
import { DeadLetters } from '../queues/dead-letters.ts';
import type { Position, StartPosition } from '../subscription/subscribe-options.ts';
import { startMessage } from '../subscription/subscribe-options.ts';
import type { SendRequest } from '../topic-directory.ts';

/** A topic to be made. */
export interface NewTopic {
  readonly name: string;
  /** Default: the broker's. */
  readonly partitions?: number | undefined;
  readonly settings?: TopicSettingsChange | undefined;
  /** No error when it exists already, whatever its settings. */
  readonly ifNotExists?: boolean | undefined;
}

/** What of a topic shall change. */
export interface TopicChange {
  readonly name: string;
  /** Can only grow. Keys move to other partitions then. */
  readonly partitions?: number | undefined;
  readonly settings?: TopicSettingsChange | undefined;
}

/** A token to be made. */
export interface NewToken {
  /** Name of whoever shows it. */
  readonly principal: string;
  readonly grants: readonly Grant[];
  /** Milliseconds since 1970. Default 0: never. */
  readonly expiresMs?: number;
}

/**
 * Administration. Every call `@throws` FORBIDDEN without the right to it, TIMEOUT, and CLOSED when the connection went before the
 * answer: then a change may have been made or not; questions are asked again by themselves.
 */
export class Admin {
  /** Consumer groups. */
  readonly groups: GroupAdmin;
  /** Queues. */
  readonly queues: QueueAdmin;
  readonly #ask: SendRequest;
  readonly #change: SendRequest;

  /**
   * @param ask sends what may be sent twice
   * @param change sends what may not
   * @param askGroup asks about groups and queues
   */
  constructor(ask: SendRequest, change: SendRequest, askGroup: AskGroup) {
    this.#ask = ask;
    this.#change = change;
    this.groups = new GroupAdmin(askGroup);
    this.queues = new QueueAdmin(askGroup);
  }

  /** The dead letters of a topic. @param topic where they came from, or the topic they lie in, which begins with `dlq.` */
  deadLetters(topic: string): DeadLetters {
    return new DeadLetters(this.queues, topic);
  }

  /** @throws TOPIC_EXISTS, INVALID_TOPIC, INVALID_ARGUMENT */
  async createTopic({
    name,
    partitions = 0,
    settings = {},
    ifNotExists = false,
  }: NewTopic): Promise<TopicDescription> {
    const request = { name, partitions, settings: settingsToWire(settings), ifNotExists };
    return topicFromWire((await this.#change('createTopic', request)).topic);
  }

  /** @throws TOPIC_NOT_FOUND, INVALID_ARGUMENT */
  async alterTopic({ name, partitions = 0, settings = {} }: TopicChange): Promise<TopicDescription> {
    return topicFromWire(
      (await this.#change('alterTopic', { name, partitions, settings: settingsToWire(settings) })).topic,
    );
  }

  /** Deletes a topic with its records. @throws TOPIC_NOT_FOUND */
  async deleteTopic(name: string): Promise<void> {
    await this.#change('deleteTopic', { name });
  }

  /** The topics this principal may see. @param options `internal`: also those starting with `__` */
  async listTopics(options: { readonly internal?: boolean } = {}): Promise<readonly TopicDescription[]> {
    return (await this.#ask('listTopics', { internal: options.internal ?? false })).topics.map(topicFromWire);
  }

  /** @throws TOPIC_NOT_FOUND */
  async describeTopic(name: string): Promise<TopicDescription> {
    return topicFromWire((await this.#ask('describeTopic', { name })).topic);
  }

  /** Which offset a position is in each partition. @param partitions empty: all @throws TOPIC_NOT_FOUND, PARTITION_NOT_FOUND */
  async listOffsets(
    topic: string,
    at: StartPosition,
    partitions: readonly number[] = [],
  ): Promise<readonly Position[]> {
    const response = await this.#ask('listOffsets', {
      topic,
      partitions: [...partitions],
      at: startMessage(at),
    });
    return response.positions.map(positionFromWire);
  }

  /**
   * Deletes the oldest records for ever; subscribers that have not read them get a gap.
   *
   * @param before the first record that stays: an offset, a Date, or `latest` (none stays)
   * @param partitions empty: all
   * @returns where each partition begins now
   * @throws TOPIC_NOT_FOUND, PARTITION_NOT_FOUND, OFFSET_OUT_OF_RANGE
   */
  async deleteRecords(
    topic: string,
    before: StartPosition,
    partitions: readonly number[] = [],
  ): Promise<readonly Position[]> {
    const request = { topic, partitions: [...partitions], before: startMessage(before) };
    return (await this.#change('deleteRecords', request)).positions.map(positionFromWire);
  }

  /** Every subscription and partition of the node, with its lag. */
  async listSubscriptions(): Promise<readonly SubscriptionStatus[]> {
    return (await this.#ask('listSubscriptions', {})).subscriptions.map(subscriptionFromWire);
  }

  async nodeStatus(): Promise<NodeStatus> {
    return nodeFromWire(await this.#ask('nodeStatus', {}));
  }

  /** The nodes of the cluster and how its partitions fare; a node on its own is a cluster of one. */
  async clusterStatus(): Promise<ClusterStatus> {
    return clusterFromWire(await this.#ask('clusterStatus', {}));
  }

  /**
   * Makes the node that this client is connected to hand over what it leads and take nothing more; it goes on serving its clients.
   *
   * @param nodeId that node, so that no other one drains by mistake
   * @param draining false: it takes its share again
   * @returns what it goes on leading all the same: give those topics another copy first
   * @throws UNSUPPORTED on a node on its own; NODE_NOT_FOUND; INVALID_ARGUMENT when it is another node
   */
  async drainNode(nodeId: string, draining = true): Promise<readonly OnlyCopies[]> {
    const { onlyCopies } = await this.#ask('drainNode', { nodeId, cancel: !draining });
    return onlyCopies.map(({ topic, partitions }) => ({ topic, partitions }));
  }

  /** Asks for partitions to be spread over the nodes there are, which takes its time. @throws UNSUPPORTED on a node on its own */
  async rebalance(): Promise<void> {
    await this.#ask('rebalance', {});
  }

  /** @returns the token itself, which is shown only now */
  async createToken(token: NewToken): Promise<{ readonly id: string; readonly token: string }> {
    const grants = token.grants.map(({ topics, operations }) => ({ topics, operations: [...operations] }));
    const request = { principal: token.principal, grants, expiresMs: BigInt(token.expiresMs ?? 0) };
    const { id, token: secret } = await this.#change('createToken', request);
    return { id, token: secret };
  }

  async listTokens(): Promise<readonly TokenDescription[]> {
    return (await this.#ask('listTokens', {})).tokens.map(tokenFromWire);
  }

  /** @throws TOKEN_NOT_FOUND */
  async revokeToken(id: string): Promise<void> {
    await this.#change('revokeToken', { id });
  }
}

function positionFromWire({ topic, partition, offset }: WirePosition): Position {
  return { topic, partition, offset: offsetFromWire(offset) };
}

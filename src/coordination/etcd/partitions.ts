import type { ICompare, IKeyValue, IRequestOp } from 'etcd3';
import { SluiceError } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import type { PartitionChange, PartitionEntry, PartitionState, UpdateResult } from '../cluster.ts';
import { contradictionIn } from '../cluster.ts';
import type { PartitionClaim, TopicDefinition } from '../coordinator.ts';
import { OFFSET_BLOCK } from '../coordinator.ts';
import type { Unwatch } from '../unwatch.ts';
import { controllerFence } from './election.ts';
import type { ViewFeed } from './feed.ts';
import type { Keys } from './keys.ts';
import { parsePartitionId, partitionId } from './keys.ts';
import type { Membership } from './membership.ts';
import type { EtcdStore, Outcome } from './store.ts';
import { created, get, put, unchanged } from './store.ts';
import type { Entry } from './table.ts';
import type { PartitionValue } from './values.ts';
import { decodeValue, encodeValue, partitionSchema } from './values.ts';
import type { View } from './view.ts';

/** What partitions are made of. */
export interface EtcdPartitionsOptions {
  readonly store: EtcdStore;
  readonly view: View;
  readonly feed: ViewFeed;
  readonly membership: Membership;
  readonly keys: Keys;
  readonly random: Random;
  readonly nodeId: string;
}

/** One attempt was overtaken by somebody else's change, which has been seen since. */
const OVERTAKEN = Symbol('overtaken');
/** Changes of others that one change may run into before it is given up. */
const MAX_OVERTAKEN = 20;

/**
 * Who leads what, and which offsets are set aside.
 *
 * Every change holds only while this node's lease does, and while the key is as it was seen: etcd checks both in the same
 * transaction, so a node that was frozen and believes it leads changes nothing.
 */
export class EtcdPartitions {
  readonly #options: EtcdPartitionsOptions;
  /** Leader epochs that this node claimed, by partition id. */
  readonly #claimed = new Map<string, number>();

  constructor(options: EtcdPartitionsOptions) {
    this.#options = options;
    options.view.partitions.watch((change) => {
      if (change.kind === 'deleted') this.#claimed.delete(change.id);
    });
  }

  entries(): readonly PartitionEntry[] {
    return [...this.#options.view.partitions.entries()].map(([id, entry]) => toEntry(id, entry));
  }

  entry(topicId: string, partition: number): PartitionEntry | undefined {
    const id = partitionId(topicId, partition);
    const entry = this.#options.view.partitions.get(id);
    return entry && toEntry(id, entry);
  }

  /** From etcd itself. @throws UNAVAILABLE, TIMEOUT */
  async read(topicId: string, partition: number): Promise<PartitionEntry | undefined> {
    const { store, keys } = this.#options;
    const id = partitionId(topicId, partition);
    const entry = decoded(await store.read(keys.of('partitions', id)), partitionSchema);
    return entry && toEntry(id, entry);
  }

  watch(listener: (change: PartitionChange) => void): Unwatch {
    return this.#options.view.partitions.watch((change) => {
      if (change.kind === 'put') listener({ kind: 'updated', entry: toEntry(change.id, change.entry) });
      else listener({ kind: 'removed', entry: toEntry(change.id, change.previous) });
    });
  }

  async update(
    topicId: string,
    partition: number,
    expectedRevision: number,
    state: PartitionState,
    controllerTerm?: number,
  ): Promise<UpdateResult> {
    const { store, view, feed, keys, membership, random } = this.#options;
    this.#topic(topicId, partition);
    const id = partitionId(topicId, partition);
    const key = keys.of('partitions', id);
    check(state, view.partitions.get(id), expectedRevision);
    const change = random.uuid();
    const { replicas, leader, leaderEpoch, isr } = state;
    const value: PartitionValue = { replicas: [...replicas], leader, leaderEpoch, isr: [...isr], change };
    const outcome = await store.persist(() => {
      const compare = [unchanged(key, expectedRevision), membership.fence(), this.#topicFence(topicId)];
      if (controllerTerm !== undefined) {
        compare.push(controllerFence(keys.single('controller'), controllerTerm));
      }
      return this.#fenced(compare, [put(key, encodeValue(value))], key);
    });
    const current = outcome.succeeded ? undefined : found(outcome, 1, partitionSchema);
    if (!outcome.succeeded && current?.value.change !== change) {
      if (current) await feed.seen(current.modRevision);
      return { kind: 'conflict', current: current && toEntry(id, current) };
    }
    const revision = current?.modRevision ?? outcome.revision;
    await feed.seen(revision);
    return { kind: 'updated', entry: { topicId, partition, state: stateOf(value), revision } };
  }

  async claim(topicId: string, partition: number): Promise<PartitionClaim> {
    const id = partitionId(topicId, partition);
    return this.#repeat(`partition ${partition} of topic ${topicId}`, () =>
      this.#claimOnce(id, topicId, partition),
    );
  }

  async reserve(topicId: string, partition: number, ceiling: number): Promise<void> {
    const id = partitionId(topicId, partition);
    await this.#repeat(`partition ${partition} of topic ${topicId}`, () =>
      this.#reserveOnce(id, topicId, partition, ceiling),
    );
  }

  async #claimOnce(
    id: string,
    topicId: string,
    partition: number,
  ): Promise<PartitionClaim | typeof OVERTAKEN> {
    const { store, view, feed, keys, membership, random, nodeId } = this.#options;
    const topic = this.#topic(topicId, partition);
    const entry = view.partitions.get(id);
    if (entry?.value.leader !== nodeId) throw notLeader(topic, partition, entry?.value.leader);
    const offsets = view.offsets.get(id);
    const before = offsets?.value.ceiling ?? 0;
    const isMemory = topic.settings.storage === 'memory';
    const ceiling = isMemory ? (Math.floor(before / OFFSET_BLOCK) + 1) * OFFSET_BLOCK : before;
    const leaderEpoch = entry.value.leaderEpoch + 1;
    const keyOfState = keys.of('partitions', id);
    const keyOfOffsets = keys.of('offsets', id);
    const outcome = await store.persist(() =>
      this.#fenced(
        [
          unchanged(keyOfState, entry.modRevision),
          unchanged(keyOfOffsets, offsets?.modRevision ?? 0),
          membership.fence(),
          this.#topicFence(topicId),
        ],
        [
          put(keyOfState, encodeValue({ ...entry.value, leaderEpoch, change: random.uuid() })),
          put(keyOfOffsets, encodeValue({ ceiling, leaderEpoch })),
        ],
        keyOfState,
        keyOfOffsets,
      ),
    );
    if (!outcome.succeeded) return this.#overtaken(outcome);
    this.#claimed.set(id, leaderEpoch);
    await feed.seen(outcome.revision);
    return { leaderEpoch, firstOffset: isMemory ? before : 0, offsetCeiling: ceiling };
  }

  async #reserveOnce(
    id: string,
    topicId: string,
    partition: number,
    ceiling: number,
  ): Promise<undefined | typeof OVERTAKEN> {
    const { store, view, feed, keys, membership } = this.#options;
    const topic = this.#topic(topicId, partition);
    const offsets = view.offsets.get(id);
    const leaderEpoch = this.#claimed.get(id);
    if (leaderEpoch === undefined || offsets?.value.leaderEpoch !== leaderEpoch) {
      throw notLeader(topic, partition, view.partitions.get(id)?.value.leader);
    }
    const key = keys.of('offsets', id);
    const outcome = await store.persist(() =>
      this.#fenced(
        [unchanged(key, offsets.modRevision), membership.fence(), this.#topicFence(topicId)],
        [put(key, encodeValue({ ...offsets.value, ceiling }))],
        key,
      ),
    );
    if (!outcome.succeeded) return this.#overtaken(outcome);
    await feed.seen(outcome.revision);
    return undefined;
  }

  /**
   * A transaction that reads what it depends on when it fails: the node's own key first, then `keys`.
   * @throws UNAVAILABLE when it failed because this node is no member any more
   */
  async #fenced(
    compare: readonly ICompare[],
    success: readonly IRequestOp[],
    ...keys: readonly string[]
  ): Promise<Outcome> {
    const { store, membership, nodeId } = this.#options;
    const ownKey = this.#options.keys.of('nodes', nodeId);
    const outcome = await store.transact(compare, success, [ownKey, ...keys].map(get));
    if (!outcome.succeeded && outcome.found[0]?.[0]?.lease !== membership.session()) {
      throw new SluiceError('UNAVAILABLE', `the lease of node ${nodeId} in etcd is over`);
    }
    return outcome;
  }

  async #overtaken({ found: answers }: Outcome): Promise<typeof OVERTAKEN> {
    const revisions = answers.slice(1).map((one: readonly IKeyValue[]) => Number(one[0]?.mod_revision ?? 0));
    await this.#options.feed.seen(Math.max(0, ...revisions));
    return OVERTAKEN;
  }

  async #repeat<T>(what: string, attempt: () => Promise<T | typeof OVERTAKEN>): Promise<T> {
    for (let count = 0; count < MAX_OVERTAKEN; count++) {
      const result = await attempt();
      if (result !== OVERTAKEN) return result;
    }
    throw new SluiceError('UNAVAILABLE', `${what} is being changed by others all the time`);
  }

  #topic(topicId: string, partition: number): TopicDefinition {
    const { view } = this.#options;
    const topic = view.topics.get(view.topicName(topicId) ?? '')?.value;
    if (!topic || partition >= topic.partitions) {
      const what = topic ? `partition ${partition} of topic ${topic.name}` : `topic with id ${topicId}`;
      throw new SluiceError('TOPIC_NOT_FOUND', `there is no ${what}`);
    }
    return topic;
  }

  /** Holds while the topic has not been deleted, so that nothing of it is written after that. */
  #topicFence(topicId: string): ICompare {
    const { view, keys } = this.#options;
    const name = view.topicName(topicId);
    const entry = name === undefined ? undefined : view.topics.get(name);
    if (name === undefined || !entry) {
      throw new SluiceError('TOPIC_NOT_FOUND', `there is no topic with id ${topicId}`);
    }
    return created(keys.of('topics', name), entry.createRevision);
  }
}

/** @throws INVALID_ARGUMENT */
function check(
  state: PartitionState,
  entry: Entry<PartitionValue> | undefined,
  expectedRevision: number,
): void {
  const contradiction = contradictionIn(state);
  const isBehind = entry?.modRevision === expectedRevision && state.leaderEpoch < entry.value.leaderEpoch;
  const why = contradiction ?? (isBehind ? 'the leader epoch is below the one before' : undefined);
  if (why !== undefined)
    throw new SluiceError('INVALID_ARGUMENT', `the state of a partition is wrong: ${why}`);
}

function found(
  { found: answers }: Outcome,
  index: number,
  schema: typeof partitionSchema,
): Entry<PartitionValue> | undefined {
  return decoded(answers[index]?.[0], schema);
}

function decoded(
  keyValue: IKeyValue | undefined,
  schema: typeof partitionSchema,
): Entry<PartitionValue> | undefined {
  const outcome = keyValue && decodeValue(schema, keyValue.value);
  if (!outcome || !('value' in outcome)) return undefined;
  return {
    value: outcome.value,
    createRevision: Number(keyValue.create_revision),
    modRevision: Number(keyValue.mod_revision),
  };
}

function toEntry(id: string, { value, modRevision }: Entry<PartitionValue>): PartitionEntry {
  // The view takes no key that names no partition.
  const { topicId, partition } = parsePartitionId(id)!;
  return { topicId, partition, state: stateOf(value), revision: modRevision };
}

function stateOf({ replicas, leader, leaderEpoch, isr }: PartitionValue): PartitionState {
  return { replicas, leader, leaderEpoch, isr };
}

function notLeader(
  topic: TopicDefinition,
  partition: number,
  leader: string | null | undefined,
): SluiceError {
  const who = leader ?? 'nobody';
  return new SluiceError('NOT_LEADER', `partition ${partition} of ${topic.name} is led by ${who}`);
}

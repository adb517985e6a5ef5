import type { PartitionState } from '../../src/coordination/cluster.ts';
import type { TopicSettings } from '../../src/coordination/coordinator.ts';
import type { Committed } from './committed.ts';
import { describeBatch, isSameBatch } from './committed.ts';
import type { SimReplica } from './replica.ts';
import { nameOf } from './replica.ts';
import { Violation } from './violation.ts';
import type { PlacedBatch } from './watched-log.ts';

/** What the checker has seen of one copy. */
interface Seen {
  highWatermark: number;
  /** Compared with what is committed up to here. */
  comparedTo: number;
  /** Epoch in which it has led last. */
  ledEpoch: number;
}

/** An answer to a producer. */
export interface Acknowledgement {
  readonly replica: SimReplica;
  readonly epoch: number;
  readonly nextOffset: number;
  readonly all: boolean;
  /** Whether etcd has the node as a member. */
  readonly isMember: boolean;
}

/** Told what happens to copies. */
export interface ReplicaWatch {
  opened(replica: SimReplica): void;
  closed(replica: SimReplica): void;
  /** The process of a node has ended, with all its copies. */
  ended(nodeId: string): void;
  /** And all that it had stored is gone. */
  destroyed(nodeId: string): void;
  /** A producer is answered; looked at after this step. */
  acknowledged(acknowledgement: Acknowledgement): void;
}

/** What the simulator knows of one partition, as if it could see everything. */
interface PartitionTruth {
  readonly committed: Committed;
  state: PartitionState | undefined;
  /** Which process leads which epoch. */
  readonly leaders: Map<number, string>;
  /** Nodes whose copy was destroyed: they may be in sync in name only until they have left the in-sync replicas. */
  readonly destroyed: Set<string>;
  maxEpoch: number;
  /** The largest log end there was. */
  maxEnd: number;
  /** The largest log start of a leader: retention in memory may pass the watermark, so that followers begin there. */
  maxLeaderStart: number;
  /** Somebody has asked for what is below it to be deleted. */
  erasing: number;
  /** And was told that it is. */
  erased: number;
}

/** Whole batches go, and what was never committed counts too. */
const RETENTION_SLACK = 40;

/**
 * Looks at all copies after every step and throws a {@link Violation} when a promise of DESIGN section 1 is broken.
 *
 * Each look costs a few comparisons; batches are compared once for each copy, when its watermark passes them.
 */
export class Checker implements ReplicaWatch {
  readonly #partitions: readonly PartitionTruth[];
  readonly #retentionRecords: number;
  readonly #minInsync: number;
  readonly #storage: TopicSettings['storage'];
  readonly #seen = new WeakMap<SimReplica, Seen>();
  /** Copies that are open now, by node id and partition. */
  readonly #replicas = new Map<string, Map<number, SimReplica>>();
  /** Copies that are being closed, or have been in this process. */
  readonly #closing = new Map<string, readonly SimReplica[]>();
  #acknowledgements: Acknowledgement[] = [];

  /**
   * @param committed of each partition
   * @param settings of the topic
   */
  constructor(
    committed: readonly Committed[],
    {
      retentionRecords,
      minInsync,
      storage,
    }: Pick<TopicSettings, 'retentionRecords' | 'minInsync' | 'storage'>,
  ) {
    this.#storage = storage;
    this.#retentionRecords = retentionRecords;
    this.#minInsync = minInsync;
    this.#partitions = committed.map((one) => ({
      committed: one,
      state: undefined,
      leaders: new Map(),
      destroyed: new Set(),
      maxEpoch: 0,
      maxEnd: 0,
      maxLeaderStart: 0,
      erasing: 0,
      erased: 0,
    }));
  }

  /** Epochs that were led, of all partitions. */
  get epochs(): number {
    return this.#partitions.reduce((sum, { leaders }) => sum + leaders.size, 0);
  }

  committed(partition: number): Committed {
    return this.#partitions[partition]!.committed;
  }

  /** As it is stored in etcd. */
  state(partition: number): PartitionState | undefined {
    return this.#partitions[partition]!.state;
  }

  /** Whether a node leads any partition, as it is stored in etcd. */
  leads(nodeId: string): boolean {
    return this.#partitions.some(({ state }) => state?.leader === nodeId);
  }

  /** Somebody asks for records below an offset to be deleted. */
  erasing(partition: number, offset: number): void {
    const truth = this.#partitions[partition]!;
    truth.erasing = Math.max(truth.erasing, offset);
  }

  /** And was told that they are, for good. */
  erased(partition: number, offset: number): void {
    const truth = this.#partitions[partition]!;
    truth.erased = Math.max(truth.erased, offset);
  }

  opened(replica: SimReplica): void {
    const { nodeId, partition } = replica;
    const replicas = this.#replicas.get(nodeId) ?? new Map<number, SimReplica>();
    this.#replicas.set(nodeId, replicas.set(partition, replica));
    this.#forgive(this.#partitions[partition]!);
  }

  /** What it has still to write is written, and acknowledged. */
  closed(replica: SimReplica): void {
    const { nodeId, partition } = replica;
    this.#replicas.get(nodeId)?.delete(partition);
    this.#closing.set(nodeId, [...(this.#closing.get(nodeId) ?? []), replica]);
  }

  ended(nodeId: string): void {
    this.#replicas.delete(nodeId);
    this.#closing.delete(nodeId);
  }

  /** The copy that a node has open now. */
  replica(nodeId: string, partition: number): SimReplica | undefined {
    return this.#replicas.get(nodeId)?.get(partition);
  }

  destroyed(nodeId: string): void {
    for (const { destroyed } of this.#partitions) destroyed.add(nodeId);
  }

  /**
   * Whether the copy of a node may be destroyed without anything acknowledged being lost: one fewer than `minInsync` may be at a time, and
   * another in-sync one has to be intact.
   */
  mayDestroy(nodeId: string): boolean {
    return this.#partitions.every(({ state, destroyed }) => {
      if (!state || !state.replicas.includes(nodeId)) return state !== undefined;
      const lost = state.replicas.filter((id) => id === nodeId || destroyed.has(id));
      return lost.length < this.#minInsync && state.isr.some((id) => !lost.includes(id));
    });
  }

  acknowledged(acknowledgement: Acknowledgement): void {
    this.#acknowledgements.push(acknowledgement);
  }

  /** The state of a partition has changed in etcd. */
  stateChanged(partition: number, state: PartitionState): void {
    const truth = this.#partitions[partition]!;
    if (state.leaderEpoch < truth.maxEpoch) {
      throw new Violation('epochs never fall', `p${partition}: ${state.leaderEpoch} after ${truth.maxEpoch}`);
    }
    truth.maxEpoch = state.leaderEpoch;
    truth.state = state;
    this.#forgive(truth);
    this.#checkInsync(partition);
  }

  /** Looks at the copies of a node to which something has happened. */
  look(nodeId: string): void {
    const replicas = this.#replicas.get(nodeId);
    if (replicas) for (const replica of replicas.values()) this.#lookAt(replica);
    for (const replica of this.#closing.get(nodeId) ?? []) this.#lookAtWatermark(replica);
    this.#checkAcknowledgements();
  }

  /** Who begins anew and is not in sync is as any other from then on. */
  #forgive({ destroyed, state }: PartitionTruth): void {
    for (const nodeId of [...destroyed]) {
      if (state?.isr.includes(nodeId) !== true && this.#replicas.has(nodeId)) destroyed.delete(nodeId);
    }
  }

  #lookAt(replica: SimReplica): void {
    this.#lookAtWatermark(replica);
    const truth = this.#partitions[replica.partition]!;
    this.#checkMember(replica, truth);
    this.#checkRetained(replica, truth);
  }

  #lookAtWatermark(replica: SimReplica): void {
    const seen = this.#seenOf(replica);
    const { object } = replica;
    const { highWatermark } = object;
    if (highWatermark < seen.highWatermark) {
      throw new Violation(
        'the high watermark never falls',
        `${nameOf(replica)}: from ${seen.highWatermark} to ${highWatermark}`,
      );
    }
    if (object.role === 'leader' && object.leaderEpoch !== seen.ledEpoch) this.#newLeader(replica, seen);
    if (highWatermark === seen.highWatermark) return;
    seen.highWatermark = highWatermark;
    this.#follow(replica, seen);
  }

  /** What is missing at the beginning is what retention has dropped. */
  #checkRetained(replica: SimReplica, truth: PartitionTruth): void {
    const { logStart, logEnd } = replica.log;
    if (replica.object.role === 'leader') this.#checkLeaderStart(replica, truth);
    truth.maxEnd = Math.max(truth.maxEnd, logEnd);
    if (logStart <= truth.erasing) return;
    const records = this.#retentionRecords;
    if (records > 0 && logStart <= truth.maxEnd - records + RETENTION_SLACK) return;
    throw new Violation(
      'only retention and who deletes them drop records',
      `${nameOf(replica)} begins at ${logStart}, the largest end was ${truth.maxEnd}`,
    );
  }

  #checkLeaderStart(replica: SimReplica, truth: PartitionTruth): void {
    const { logStart } = replica.log;
    truth.maxLeaderStart = Math.max(truth.maxLeaderStart, logStart);
    if (this.#storage === 'memory' || logStart <= truth.committed.end) return;
    throw new Violation(
      'retention on disk takes only what is committed',
      `${nameOf(replica)} begins at ${logStart}, committed is up to ${truth.committed.end}`,
    );
  }

  #seenOf(replica: SimReplica): Seen {
    let seen = this.#seen.get(replica);
    if (!seen) {
      seen = { highWatermark: 0, comparedTo: 0, ledEpoch: -1 };
      this.#seen.set(replica, seen);
    }
    return seen;
  }

  #newLeader(replica: SimReplica, seen: Seen): void {
    const { leaderEpoch } = replica.object;
    const { leaders, committed, erased } = this.#partitions[replica.partition]!;
    const who = nameOf(replica);
    const other = leaders.get(leaderEpoch);
    if (other !== undefined && other !== who) {
      throw new Violation('one leader in each epoch', `epoch ${leaderEpoch}: ${other} and ${who}`);
    }
    const isLater = [...leaders.keys()].every((epoch) => epoch < leaderEpoch);
    leaders.set(leaderEpoch, who);
    seen.ledEpoch = leaderEpoch;
    // Who hears late that it was elected, and later still that it is no more, has what it had then.
    if (!isLater) return;
    if (replica.log.logStart < erased) {
      throw new Violation(
        'what was deleted does not come back',
        `${who} begins at ${replica.log.logStart}, what is below ${erased} was deleted`,
      );
    }
    this.#compare(replica, 0, committed.end, 'an acknowledged record is on every later leader');
    if (replica.log.logEnd < committed.end) {
      throw new Violation(
        'an acknowledged record is on every later leader',
        `${who} leads epoch ${leaderEpoch} with ${replica.log.logEnd}, committed is up to ${committed.end}`,
      );
    }
  }

  /** The watermark of a copy has moved. */
  #follow(replica: SimReplica, seen: Seen): void {
    const { partition, object } = replica;
    const { committed, maxLeaderStart } = this.#partitions[partition]!;
    const to = seen.highWatermark;
    if (to > committed.end && object.role === 'leader') this.#commit(replica, to);
    if (to > Math.max(committed.end, maxLeaderStart)) {
      throw new Violation(
        'a follower sees what a leader has shown',
        `${nameOf(replica)}: ${to} above ${committed.end}`,
      );
    }
    this.#compare(replica, seen.comparedTo, to, 'copies are equal up to the watermark');
    seen.comparedTo = to;
  }

  #commit(replica: SimReplica, to: number): void {
    const { committed } = this.#partitions[replica.partition]!;
    const who = nameOf(replica);
    if (to > replica.log.durableEnd) {
      throw new Violation('what is committed is durable', `${who}: ${to} above ${replica.log.durableEnd}`);
    }
    const batches = replica.log.batches();
    let index = batches.length;
    while (index > 0 && batches[index - 1]!.nextOffset > committed.end) index--;
    for (; index < batches.length && batches[index]!.nextOffset <= to; index++)
      committed.add(batches[index]!, who);
    committed.passTo(to);
    this.#checkInsync(replica.partition);
  }

  /** What is committed in [from, to) is in the copy, as far as it retains that, and nothing else is. */
  #compare(replica: SimReplica, from: number, to: number, property: string): void {
    const { committed } = this.#partitions[replica.partition]!;
    const { logStart } = replica.log;
    const batches = replica.log.batches();
    const begin = Math.max(from, logStart);
    let mine = firstEndingAbove(batches, begin);
    for (let index = committed.indexOf(begin); ; index++) {
      const theirs = committed.at(index);
      const one = batches[mine++];
      const isOver = theirs === undefined || theirs.baseOffset >= to;
      if (isOver && (one === undefined || one.baseOffset >= Math.min(to, committed.end))) return;
      if (theirs && one && isSameBatch(theirs, one)) continue;
      throw new Violation(
        property,
        `${nameOf(replica)} has ${one ? describeBatch(one.bytes) : 'nothing'} where ${theirs ? describeBatch(theirs.bytes) : 'nothing'} is committed`,
      );
    }
  }

  /** Every in-sync copy has all that is committed. */
  #checkInsync(partition: number): void {
    const truth = this.#partitions[partition]!;
    for (const nodeId of truth.state?.isr ?? []) {
      const replica = this.replica(nodeId, partition);
      if (replica) this.#checkMember(replica, truth);
    }
  }

  #checkMember(replica: SimReplica, { committed, state, destroyed }: PartitionTruth): void {
    const { nodeId, log } = replica;
    if (log.durableEnd >= committed.end) return;
    if (state?.isr.includes(nodeId) !== true || destroyed.has(nodeId)) return;
    throw new Violation(
      'in-sync copies have all that is committed',
      `${nameOf(replica)} has ${log.durableEnd} of ${committed.end}`,
    );
  }

  #checkAcknowledgements(): void {
    if (this.#acknowledgements.length === 0) return;
    const now = this.#acknowledgements;
    this.#acknowledgements = [];
    for (const { replica, epoch, nextOffset, all, isMember } of now) {
      const { committed, leaders } = this.#partitions[replica.partition]!;
      const who = nameOf(replica);
      const leader = leaders.get(epoch);
      if (leader !== who) {
        throw new Violation(
          'one leader in each epoch',
          `${who} acknowledges in epoch ${epoch} of ${String(leader)}`,
        );
      }
      if (!isMember) {
        throw new Violation('who acknowledges is a member', `${who} acknowledges without a lease`);
      }
      if (all && nextOffset > committed.end) {
        throw new Violation(
          'what is acknowledged is committed',
          `${who} acknowledges ${nextOffset}, committed is up to ${committed.end}`,
        );
      }
    }
  }
}

function firstEndingAbove(batches: readonly PlacedBatch[], offset: number): number {
  let low = 0;
  let high = batches.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (batches[middle]!.nextOffset > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}

import { EtcdCluster } from '../../src/coordination/etcd/etcd-cluster.ts';
import { Follower } from '../../src/partition/follower.ts';
import { Partition } from '../../src/partition/partition.ts';
import { ProducerWindow } from '../../src/partition/producer-window.ts';
import type { SimOptions } from './plan.ts';

/** A bug of the kind that replication protocols have had: put into the production code from outside, while a test runs. */
export interface Mutation<Options = SimOptions> {
  readonly name: string;
  /** Where it shows soon. */
  readonly shows?: Omit<Options, 'seed'>;
  /** Puts it in. @returns takes it out again */
  apply(): () => void;
}

/** Replaces a method of a class. @returns undoes it */
export function replace<T extends object, K extends keyof T>(
  prototype: T,
  name: K,
  make: (original: T[K]) => T[K],
): () => void {
  const original = prototype[name];
  prototype[name] = make(original);
  return () => {
    prototype[name] = original;
  };
}

/** Replaces a getter of a class. */
function replaceGetter(prototype: object, name: string, value: unknown): () => void {
  const original = Object.getOwnPropertyDescriptor(prototype, name)!;
  Object.defineProperty(prototype, name, { configurable: true, get: () => value });
  return () => Object.defineProperty(prototype, name, original);
}

/** Each of them has to be found by the simulator; see mutations.test.ts. */
export const MUTATIONS: readonly Mutation[] = [
  {
    // KIP-101: what the high watermark does not cover yet may have been acknowledged all the same.
    name: 'a follower truncates to its high watermark',
    apply: () =>
      replace(
        Partition.prototype,
        'follow',
        (follow) =>
          function (this: Partition, epoch: number): void {
            follow.call(this, epoch);
            if (this.logEnd > this.highWatermark) void this.truncateTo(this.highWatermark);
          },
      ),
  },
  {
    name: 'acks: all is answered before the in-sync replicas have it',
    apply: () => {
      const weaker = (acks: 0 | 1 | 2): 0 | 1 => (acks === 0 ? 0 : 1);
      const undo = [
        replace(
          Partition.prototype,
          'whenAcknowledged',
          (original) =>
            function (this: Partition, nextOffset, acks, callback): void {
              original.call(this, nextOffset, weaker(acks), callback);
            },
        ),
        replace(
          Partition.prototype,
          'isAcknowledged',
          (original) =>
            function (this: Partition, nextOffset, acks): boolean {
              return original.call(this, nextOffset, weaker(acks));
            },
        ),
      ];
      return () => undo.forEach((one) => one());
    },
  },
  {
    // A node that was frozen past its lease goes on in its old epoch.
    name: 'a leader appends and acknowledges in an epoch that is over',
    shows: { faults: ['freeze'], acks: 1 },
    apply: () => replaceGetter(EtcdCluster.prototype, 'leaseHeld', true),
  },
  {
    name: 'a leader takes its change of the in-sync replicas for stored',
    apply: () =>
      replace(
        EtcdCluster.prototype,
        'updatePartition',
        (original) =>
          function (this: EtcdCluster, topicId, partition, expectedRevision, state, term) {
            const asked = original.call(this, topicId, partition, expectedRevision, state, term);
            if (term !== undefined || state.leader === null) return asked;
            asked.catch(() => undefined);
            return Promise.resolve({
              kind: 'updated',
              entry: { topicId, partition, state, revision: expectedRevision + 1 },
            });
          },
      ),
  },
  {
    name: 'followers do not keep what producers have sent',
    apply: () => replace(ProducerWindow.prototype, 'replay', () => () => undefined),
  },
  {
    name: 'a follower says that it has on its disk what it has not',
    apply: () =>
      replace(
        Follower.prototype,
        'position',
        (original) =>
          function (this: Follower) {
            const position = original.call(this);
            return position && { ...position, durableOffset: position.fetchOffset };
          },
      ),
  },
  {
    name: 'a deletion is answered before followers have taken it over',
    shows: { erases: true },
    apply: () => replace(Partition.prototype, 'isDeletedBelow', () => () => true),
  },
  {
    name: 'who fetches is taken into the in-sync replicas',
    apply: () =>
      replace(
        Partition.prototype,
        'reportFollower',
        (original) =>
          function (this: Partition, nodeId, durableOffset, durableStart): void {
            const isIn = this.isr.includes(nodeId);
            if (isIn) original.call(this, nodeId, durableOffset, durableStart);
            else original.call(this, nodeId, this.log.durableEnd, Infinity);
          },
      ),
  },
  {
    name: 'a follower shows its readers all that it has',
    apply: () =>
      replace(
        Partition.prototype,
        'appendReplicated',
        (original) =>
          function (this: Partition, batches, leader): void {
            original.call(this, batches, { ...leader, highWatermark: Number.MAX_SAFE_INTEGER });
          },
      ),
  },
];

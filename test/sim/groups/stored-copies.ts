import type { PartitionState } from '../../../src/coordination/cluster.ts';
import type { Partition } from '../../../src/partition/partition.ts';

interface Stored {
  readonly state: PartitionState;
  /** Nodes whose copy was destroyed: they may be in sync in name only until they have left the in-sync replicas. */
  readonly destroyed: Set<string>;
}

/** What is to be seen of the copy that a node has. */
export type SeenCopy = Pick<Partition, 'role' | 'leaderEpoch' | 'highWatermark' | 'logEnd'>;

/** Finds the copy of a partition that the process of a node has opened; undefined: it has none. */
export type FindCopy = (nodeId: string, topicId: string, partition: number) => SeenCopy | undefined;

/** Knows, as etcd has it, where the copies of all partitions are, and which disks may be lost without anything acknowledged being lost. */
export class StoredCopies {
  readonly #minInsync: number;
  readonly #find: FindCopy;
  readonly #partitions = new Map<string, Stored>();

  constructor(minInsync: number, find: FindCopy) {
    this.#minInsync = minInsync;
    this.#find = find;
  }

  /** Whether all that there is, is led. */
  get isLed(): boolean {
    return this.#all().every(({ state: { leader } }) => leader !== null);
  }

  /** Whether all copies are in sync. */
  get isWhole(): boolean {
    return this.#all().every(
      ({ state: { leader, isr, replicas } }) => leader !== null && isr.length === replicas.length,
    );
  }

  /** Whether whoever is to lead does so, and shows all that it has to readers. In etcd a leader is one before it knows. */
  get isReadable(): boolean {
    return [...this.#partitions].every(([key, { state }]) => {
      const [topicId, partition] = partsOf(key);
      const copy = state.leader === null ? undefined : this.#find(state.leader, topicId, partition);
      return (
        copy?.role === 'leader' &&
        copy.leaderEpoch === state.leaderEpoch &&
        copy.highWatermark === copy.logEnd
      );
    });
  }

  /** How often leaders have changed, all partitions together. */
  get epochs(): number {
    return this.#all().reduce((sum, { state }) => sum + state.leaderEpoch, 0);
  }

  changed(topicId: string, partition: number, state: PartitionState): void {
    const key = `${topicId}/${partition}`;
    const destroyed = this.#partitions.get(key)?.destroyed ?? new Set();
    this.#partitions.set(key, { state, destroyed });
    this.#forgive();
  }

  leads(nodeId: string): boolean {
    return this.#all().some(({ state }) => state.leader === nodeId);
  }

  destroyed(nodeId: string): void {
    for (const { destroyed } of this.#all()) destroyed.add(nodeId);
  }

  /** One fewer than `minInsync` may be destroyed at a time, and another in-sync copy has to be intact. */
  mayDestroy(nodeId: string): boolean {
    this.#forgive();
    return this.#all().every(({ state: { replicas, isr }, destroyed }) => {
      if (!replicas.includes(nodeId)) return true;
      const lost = replicas.filter((id) => id === nodeId || destroyed.has(id));
      return lost.length < this.#minInsync && isr.some((id) => !lost.includes(id));
    });
  }

  /** Who begins anew and is not in sync is as any other from then on. */
  #forgive(): void {
    for (const [key, { state, destroyed }] of this.#partitions) {
      const [topicId, partition] = partsOf(key);
      for (const nodeId of [...destroyed]) {
        const isNew = !state.isr.includes(nodeId) && this.#find(nodeId, topicId, partition);
        if (isNew) destroyed.delete(nodeId);
      }
    }
  }

  #all(): Stored[] {
    return [...this.#partitions.values()];
  }
}

function partsOf(key: string): [topicId: string, partition: number] {
  const [topicId, partition] = key.split('/') as [string, string];
  return [topicId, Number(partition)];
}

import type { PartitionState } from '../../../src/coordination/cluster.ts';

interface Stored {
  readonly state: PartitionState;
  /** Nodes whose copy was destroyed: they may be in sync in name only until they have left the in-sync replicas. */
  readonly destroyed: Set<string>;
}

/** Knows, as etcd has it, where the copies of all partitions are, and which disks may be lost without anything acknowledged being lost. */
export class StoredCopies {
  readonly #minInsync: number;
  readonly #isOpen: (nodeId: string, topicId: string, partition: number) => boolean;
  readonly #partitions = new Map<string, Stored>();

  /** @param isOpen whether the process of a node has opened its copy of a partition */
  constructor(minInsync: number, isOpen: (nodeId: string, topicId: string, partition: number) => boolean) {
    this.#minInsync = minInsync;
    this.#isOpen = isOpen;
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
      const [topicId, partition] = key.split('/') as [string, string];
      for (const nodeId of [...destroyed]) {
        const isNew = !state.isr.includes(nodeId) && this.#isOpen(nodeId, topicId, Number(partition));
        if (isNew) destroyed.delete(nodeId);
      }
    }
  }

  #all(): Stored[] {
    return [...this.#partitions.values()];
  }
}

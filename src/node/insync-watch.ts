import type { Cluster, PartitionChange } from '../coordination/cluster.ts';
import type { Unwatch } from '../coordination/coordinator.ts';
import type { Logger } from '../telemetry/logger.ts';

/** The cluster as {@link InsyncWatch} sees it. */
type Watched = Pick<Cluster, 'partitionStates' | 'watchPartitions'>;

/** Counts, and writes into the log, who leaves the in-sync replicas of the partitions that this node leads, and who comes back. */
export class InsyncWatch implements Disposable {
  /** Times that in-sync replicas became fewer. */
  shrinks = 0;
  /** Times that they became more. */
  expands = 0;
  readonly #nodeId: string;
  readonly #log: Pick<Logger, 'info' | 'warn'>;
  readonly #nameOf: (topicId: string) => string | undefined;
  readonly #insync = new Map<string, readonly string[]>();
  readonly #unwatch: Unwatch;

  /** @param nameOf the topic of an id, where it is known */
  constructor(
    nodeId: string,
    cluster: Watched,
    log: Pick<Logger, 'info' | 'warn'>,
    nameOf: (topicId: string) => string | undefined,
  ) {
    this.#nodeId = nodeId;
    this.#log = log;
    this.#nameOf = nameOf;
    for (const { topicId, partition, state } of cluster.partitionStates())
      this.#insync.set(`${topicId}/${partition}`, state.isr);
    this.#unwatch = cluster.watchPartitions((change) => this.#see(change));
  }

  [Symbol.dispose](): void {
    this.#unwatch();
  }

  #see({ kind, entry: { topicId, partition, state } }: PartitionChange): void {
    const key = `${topicId}/${partition}`;
    const before = this.#insync.get(key);
    if (kind === 'removed') this.#insync.delete(key);
    else this.#insync.set(key, state.isr);
    if (kind === 'removed' || !before || state.leader !== this.#nodeId) return;
    const left = before.filter((id) => !state.isr.includes(id));
    const joined = state.isr.filter((id) => !before.includes(id));
    const fields = { topic: this.#nameOf(topicId), topicId, partition, isr: state.isr };
    if (left.length > 0) {
      this.shrinks += 1;
      this.#log.warn('isr.shrunk', { ...fields, left });
    }
    if (joined.length > 0) {
      this.expands += 1;
      this.#log.info('isr.expanded', { ...fields, joined });
    }
  }
}

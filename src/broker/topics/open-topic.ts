import type { TopicDefinition } from '../../coordination/coordinator.ts';
import { SluiceError } from '../../kernel/errors.ts';
import { DiskLog } from '../../log/disk/disk-log.ts';
import type { Partition } from '../../partition/partition.ts';
import { partitionOfKey } from '../../wire/partitioner.ts';
import { RecordBatch } from '../../wire/record-batch-decoder.ts';
import { verifyBatch } from '../../wire/record-batch.ts';

/** A topic, and what this node has of its partitions: a copy in whatever role, or none. */
export class OpenTopic {
  definition: TopicDefinition;
  /** It can be used: its partitions have been opened, or tried, and have had time to get leaders. */
  isReady = false;
  isDeleted = false;
  /** Resolves when it {@link isReady}. */
  ready: Promise<void> = Promise.resolve();
  readonly #copies: (Partition | undefined)[] = [];
  /** Partitions of which only other nodes have copies. */
  readonly #elsewhere = new Set<number>();
  /** Batches are spread over so many of the first partitions: one that was added is left out until somebody leads it. */
  #spread: number;
  #turn = 0;

  constructor(definition: TopicDefinition) {
    this.definition = definition;
    this.#spread = definition.partitions;
  }

  get name(): string {
    return this.definition.name;
  }

  /** Partitions, wherever they are. */
  get count(): number {
    return this.definition.partitions;
  }

  /** The copy that this node has of a partition; undefined: none that can be used. */
  copy(index: number): Partition | undefined {
    return this.#copies[index];
  }

  /** The copies that this node has, in order. */
  get copies(): readonly Partition[] {
    return this.#copies.filter((copy) => copy !== undefined);
  }

  setCopy(index: number, copy: Partition | undefined): void {
    this.#copies[index] = copy;
  }

  /** Whether only other nodes have copies of a partition, as far as is known. */
  isElsewhere(index: number): boolean {
    return this.#elsewhere.has(index);
  }

  /** @returns whether that is new */
  setElsewhere(index: number, isElsewhere: boolean): boolean {
    const was = this.#elsewhere.has(index);
    if (isElsewhere) this.#elsewhere.add(index);
    else this.#elsewhere.delete(index);
    return was !== isElsewhere;
  }

  /** @returns the same index @throws PARTITION_NOT_FOUND */
  checkIndex(index: number): number {
    if (index < this.count) return index;
    throw new SluiceError(
      'PARTITION_NOT_FOUND',
      `topic ${this.name} has no partition ${index}, only 0 to ${this.count - 1}`,
    );
  }

  /**
   * The partition for a batch, which nobody has checked yet, whose producer leaves it to the broker: by the hash of its first record's key, in turn when that
   * has none.
   * @throws as `Partition.append`
   */
  choose(batch: Buffer, inflatedMaxBytes: number): number {
    const count = this.#spread;
    if (count === 1) return 0;
    // First, so that nothing is inflated that would be refused for its size or its CRC.
    verifyBatch(batch, { batchMaxBytes: this.definition.settings.batchMaxBytes, inflatedMaxBytes });
    const cursor = new RecordBatch(batch, { inflatedMaxBytes, verifyCrc: false }).cursor();
    const key = cursor.next() ? cursor.key : null;
    return key ? partitionOfKey(key, count) : this.#turn++ % count;
  }

  /** Spreads batches over partitions that were added, as far as they are led. */
  spread(isLed: (index: number) => boolean): void {
    while (this.#spread < this.count && isLed(this.#spread)) this.#spread++;
  }

  /** Files that its logs on disk consist of. */
  get segments(): number {
    return this.copies.reduce((sum, { log }) => sum + (log instanceof DiskLog ? log.segmentCount : 0), 0);
  }
}

import type { TopicDefinition } from '../coordination/coordinator.ts';
import { SluiceError } from '../kernel/errors.ts';
import { DiskLog } from '../log/disk/disk-log.ts';
import type { Partition } from '../partition/partition.ts';
import { verifyBatch } from '../wire/record-batch.ts';
import { partitionOfKey } from '../wire/partitioner.ts';
import { RecordBatch } from '../wire/record-batch-decoder.ts';

/** A topic whose partitions are led by this node. */
export class OpenTopic {
  definition: TopicDefinition;
  readonly partitions: Partition[] = [];
  /** Set while partitions are being added; the next change waits for it. */
  work: Promise<void> = Promise.resolve();
  /** Changes under way or waiting. */
  changes = 0;
  #turn = 0;

  constructor(definition: TopicDefinition) {
    this.definition = definition;
  }

  get name(): string {
    return this.definition.name;
  }

  /** @throws PARTITION_NOT_FOUND */
  partition(index: number): Partition {
    const partition = this.partitions[index];
    if (partition) return partition;
    throw new SluiceError(
      'PARTITION_NOT_FOUND',
      `topic ${this.name} has no partition ${index}, only 0 to ${this.partitions.length - 1}`,
    );
  }

  /**
   * The partition for a batch, which nobody has checked yet, whose producer leaves it to the broker: by the hash of its first record's key, in turn when that
   * has none.
   * @throws as `Partition.append`
   */
  choose(batch: Buffer, inflatedMaxBytes: number): Partition {
    const count = this.partitions.length;
    if (count === 1) return this.partitions[0]!;
    // First, so that nothing is inflated that would be refused for its size or its CRC.
    verifyBatch(batch, { batchMaxBytes: this.definition.settings.batchMaxBytes, inflatedMaxBytes });
    const cursor = new RecordBatch(batch, { inflatedMaxBytes, verifyCrc: false }).cursor();
    const key = cursor.next() ? cursor.key : null;
    return this.partitions[key ? partitionOfKey(key, count) : this.#turn++ % count]!;
  }

  /** Files that its logs on disk consist of. */
  get segments(): number {
    return this.partitions.reduce((sum, { log }) => sum + (log instanceof DiskLog ? log.segmentCount : 0), 0);
  }
}

import type { Principal } from '../../../broker/ports.ts';
import { SluiceError } from '../../../kernel/errors.ts';
import { partitionOfKey } from '../../../wire/partitioner.ts';
import type { ApiBroker } from '../api-context.ts';
import type { RecordInput } from './record-input.ts';

/** Records of one request that are one batch. */
export interface RecordGroup {
  /** Undefined: the broker's choice. */
  readonly partition: number | undefined;
  /** Where they were among those of the request, rising. */
  readonly indexes: readonly number[];
}

/**
 * Which records of a request are one batch: those that go to the same partition. Records without a key go together to one.
 *
 * @throws FORBIDDEN, INVALID_TOPIC, TOPIC_NOT_FOUND and why else it is not known where the topic's partitions are
 */
export async function splitRecords(
  broker: Pick<ApiBroker, 'metadata'>,
  principal: Principal,
  topic: string,
  records: readonly RecordInput[],
): Promise<readonly RecordGroup[]> {
  const all = { partition: undefined, indexes: records.map((_, index) => index) };
  if (records.every(({ key }) => key === null)) return [all];
  const [metadata] = await broker.metadata(principal, [topic], true);
  if (metadata!.error) throw new SluiceError(metadata!.error.code, metadata!.error.message);
  const count = metadata!.partitions.length;
  if (count === 1) return [{ ...all, partition: 0 }];
  const groups = new Map<number | undefined, number[]>();
  for (const [index, { key }] of records.entries()) {
    const partition = key === null ? undefined : partitionOfKey(key, count);
    const group = groups.get(partition);
    if (group) group.push(index);
    else groups.set(partition, [index]);
  }
  return [...groups].map(([partition, indexes]) => ({ partition, indexes }));
}

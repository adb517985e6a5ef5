import type { BenchServer } from '../support/servers.ts';
import { LogWorker } from '../support/sluice-logs.ts';

/** A reader of a topic that is full already, from its beginning; nothing is published meanwhile. */
export interface GroupCatchUp {
  readonly topic: string;
  /** That the topic holds. */
  readonly records: number;
  /** Read by the only member of this group, which is new; undefined: by a plain subscription. */
  readonly group?: string;
}

export interface GroupCatchUpSample {
  /** From the first record to the last. */
  readonly recordsPerSecond: number;
  readonly brokerCores: number;
  readonly readerCores: number;
}

/** Runs it once, in a process of its own. */
export async function runGroupCatchUp(
  server: BenchServer,
  { topic, records, group }: GroupCatchUp,
): Promise<GroupCatchUpSample> {
  await using reader = new LogWorker();
  const read = reader.next('read');
  const before = server.usage();
  reader.tell({ kind: 'read', server: server.address, topic, records, group });
  const { seconds, cpuSeconds } = await read;
  const after = server.usage();
  return {
    recordsPerSecond: records / seconds,
    brokerCores: (after.cpuSeconds - before.cpuSeconds) / seconds,
    readerCores: cpuSeconds / seconds,
  };
}

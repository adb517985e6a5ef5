import type { Partition } from '../../../src/partition/partition.ts';
import { RecordBatch } from '../../../src/wire/record-batch-decoder.ts';
import { batchNextOffset } from '../../../src/wire/record-batch.ts';
import type { QueueChecker } from './queue-checker.ts';

/** Tells each queue of its dead letters. @param copies that lead the partitions of the dead-letter topic */
export async function findDeadLetters(
  copies: readonly Partition[],
  queues: ReadonlyMap<string, QueueChecker>,
): Promise<number> {
  let count = 0;
  for (const copy of copies) {
    for (const batch of await batchesOf(copy)) {
      for (const { headers } of new RecordBatch(batch).records()) {
        const facts = new Map(headers.map(({ key, value }) => [key, String(value)]));
        const fact = (name: string): string => facts.get(`sluice-dlq-${name}`) ?? '';
        count++;
        queues.get(fact('group'))!.foundDeadLetter({
          partition: Number(fact('partition')),
          offset: Number(fact('offset')),
          reason: fact('reason'),
          attempts: Number(fact('attempts')),
        });
      }
    }
  }
  return count;
}

async function batchesOf({ log, highWatermark }: Partition): Promise<Buffer[]> {
  const batches: Buffer[] = [];
  for (let offset = log.logStart; offset < highWatermark;) {
    const found = await log.read(offset, highWatermark, Infinity);
    batches.push(...found);
    offset = found.length > 0 ? batchNextOffset(found.at(-1)!) : highWatermark;
  }
  return batches;
}

import { SluiceError } from '../kernel/errors.ts';
import type { PartitionReader } from '../partition/reader.ts';
import { RecordBatch } from '../wire/record-batch-decoder.ts';

/** What is read at once before others have their turn. */
const READ_BYTES = 256 * 1024;

/** Takes a fact; null: its key is gone. */
export type TakeFact = (key: string, value: Buffer | null) => void;

/**
 * Reads the facts of a coordinator in the order of the log, up to an offset; waits for what not all in-sync replicas have yet.
 *
 * @param reader at the oldest fact; stays the caller's to close
 * @param end exclusive
 * @param signal gives up
 * @returns facts that were read
 * @throws NOT_LEADER when it was given up or the partition is gone; CORRUPT_BATCH; what `take` throws
 */
export async function loadState(
  reader: PartitionReader,
  end: number,
  take: TakeFact,
  signal: AbortSignal,
): Promise<number> {
  let facts = 0;
  while (reader.nextOffset < end) {
    const result = await reader.read(READ_BYTES);
    if (signal.aborted || result.kind === 'ended') {
      const code = result.kind === 'ended' ? (result.code ?? 'NOT_LEADER') : 'NOT_LEADER';
      throw new SluiceError(
        code,
        `the state of ${reader.topic}/${reader.partition} cannot be read any further`,
      );
    }
    if (result.kind === 'batches') for (const batch of result.batches) facts += takeBatch(batch, take);
    if (result.kind === 'idle') await readable(reader, signal);
    else await nextTurn();
  }
  return facts;
}

/** @returns how many there were */
function takeBatch(bytes: Buffer, take: TakeFact): number {
  const batch = new RecordBatch(bytes, { verifyCrc: false });
  // A batch without records is what compaction has left of one.
  if (batch.header.recordCount === 0) return 0;
  batch.forEach(({ key, value }) => {
    if (key) take(key.toString(), value);
  });
  return batch.header.recordCount;
}

function readable(reader: PartitionReader, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    reader.onReadable = () => setImmediate(resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

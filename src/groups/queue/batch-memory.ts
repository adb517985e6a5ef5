import { BatchCache } from './batch-cache.ts';
import { ReadAhead } from './read-ahead.ts';

/** What the queues of all coordinators of a node keep of batches in memory: half is for what was read ahead, half for what may be delivered again. */
export class BatchMemory {
  readonly cache: BatchCache;
  readonly readAhead: ReadAhead;

  /** @param maxBytes of both together; the batch that came last of each stays even when it alone is larger than its half */
  constructor(maxBytes: number) {
    const half = Math.floor(maxBytes / 2);
    this.cache = new BatchCache(half);
    this.readAhead = new ReadAhead(half);
  }

  get bytes(): number {
    return this.cache.bytes + this.readAhead.bytes;
  }
}

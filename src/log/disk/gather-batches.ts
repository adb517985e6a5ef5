import {
  BATCH_HEADER_BYTES,
  batchBaseOffset,
  batchBytes,
  batchNextOffset,
  checkBatch,
} from '../../wire/record-batch.ts';

/** Part of a segment file, in memory, that begins where a batch does. */
export interface Chunk {
  readonly bytes: Buffer;
  /** In the file. */
  readonly position: number;
  /** No batch in it begins below this offset. */
  readonly leastOffset: number;
  /** What the segment has: exclusive end of its offsets, and of its bytes. */
  readonly endOffset: number;
  readonly endPosition: number;
}

/** Which batches are wanted; see `PartitionLog.read`. */
export interface Wanted {
  readonly offset: number;
  readonly upTo: number;
  readonly maxBytes: number;
}

/** What a chunk has of what is wanted. */
export interface Gathered {
  /** Views of the chunk, checked. */
  readonly found: Buffer[];
  /** Where the batch behind the last that was looked at begins, and which offsets it cannot have. */
  readonly position: number;
  readonly leastOffset: number;
  /** `more`: it is to be gone on from there; `damaged`: what is there is no batch; `done`: nothing more is wanted. */
  readonly kind: 'done' | 'more' | 'damaged';
  /** How many bytes there have to be for the next batch to be whole, where `more` is to be read. */
  readonly nextBytes: number;
  /** For people. */
  readonly reason: string;
}

/**
 * Finds the wanted batches in a chunk of a segment.
 *
 * Offsets lie outside a batch's CRC, so they are compared with what is known: they rise, and are the segment's. Batches before the first
 * wanted one are not checked further.
 */
export function gatherBatches(chunk: Chunk, wanted: Wanted): Gathered {
  const { bytes } = chunk;
  const found: Buffer[] = [];
  let [at, leastOffset, foundBytes] = [0, chunk.leastOffset, 0];
  const end = (kind: Gathered['kind'], nextBytes = 0, reason = ''): Gathered => {
    return { found, position: chunk.position + at, leastOffset, kind, nextBytes, reason };
  };
  while (at < bytes.length) {
    const left = bytes.subarray(at);
    if (left.length < BATCH_HEADER_BYTES && chunk.position + bytes.length < chunk.endPosition) {
      return end('more', BATCH_HEADER_BYTES);
    }
    const wrong = misfit(left, chunk, chunk.position + at, leastOffset);
    if (wrong !== undefined) return end('damaged', 0, wrong);
    const size = batchBytes(left);
    const nextOffset = batchNextOffset(left);
    const isWanted = nextOffset > wanted.offset;
    if (isWanted && isTooFar(left, size, wanted, foundBytes)) return end('done');
    if (size > left.length) return end('more', size);
    if (isWanted) {
      const batch = left.subarray(0, size);
      const damage = damageOf(batch);
      if (damage !== undefined) return end('damaged', 0, damage);
      found.push(batch);
      foundBytes += size;
    }
    at += size;
    leastOffset = nextOffset;
  }
  return end(chunk.position + at < chunk.endPosition ? 'more' : 'done');
}

/** Whether a batch of `size` bytes is beyond what is wanted, after so many bytes. */
function isTooFar(batch: Buffer, size: number, { upTo, maxBytes }: Wanted, foundBytes: number): boolean {
  return (foundBytes > 0 && foundBytes + size > maxBytes) || batchBaseOffset(batch) >= upTo;
}

/** Why what begins with a header cannot be the next batch of the segment. */
function misfit(header: Buffer, chunk: Chunk, position: number, leastOffset: number): string | undefined {
  if (header.length < BATCH_HEADER_BYTES) return `${header.length} bytes are too few for a batch`;
  const size = batchBytes(header);
  if (size < BATCH_HEADER_BYTES || position + size > chunk.endPosition) return `a batch of ${size} bytes`;
  return reasonOf(() => {
    const baseOffset = batchBaseOffset(header);
    if (baseOffset >= leastOffset && batchNextOffset(header) <= chunk.endOffset) return undefined;
    return `a batch of offset ${baseOffset} where ${leastOffset} is next`;
  });
}

function damageOf(batch: Buffer): string | undefined {
  return reasonOf(() => {
    checkBatch(batch);
    return undefined;
  });
}

function reasonOf(check: () => string | undefined): string | undefined {
  try {
    return check();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

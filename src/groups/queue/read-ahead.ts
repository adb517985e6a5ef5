/** Bytes of batches that wait to be offered, of one partition, where there is room. */
const PARTITION_BYTES = 256 * 1024;

/** A partition that reads ahead. */
export interface AheadReader {
  /** Forgets what it has read ahead, which it reads again when it is asked. Must not read. */
  letGo(): void;
}

/**
 * Bounds what the partitions of queues have read ahead, those of all coordinators of a node together.
 *
 *     0 ………………………… max - 256 KiB ………………………… max
 *       256 KiB each      │ one batch each, of those that have none    the partition lets go that was read or asked longest ago
 *
 * Nobody waits for room: who is asked reads one batch at least, and whoever has to let go of some reads it again when it is asked. So none starves.
 */
export class ReadAhead {
  readonly #maxBytes: number;
  /** What each has; the one that was read or asked longest ago is the first. */
  readonly #held = new Map<AheadReader, number>();
  #bytes = 0;

  /** @param maxBytes the batches of the partition that has read last stay even when they alone are more */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Of all partitions. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many bytes a partition that has so many may read now: 1 is for one batch. @returns 0: none, it has enough */
  room(heldBytes: number): number {
    if (this.#bytes + PARTITION_BYTES <= this.#maxBytes) return Math.max(0, PARTITION_BYTES - heldBytes);
    return heldBytes === 0 ? 1 : 0;
  }

  /** A partition has so much now, and was read or asked. */
  hold(reader: AheadReader, bytes: number): void {
    const isMore = bytes > (this.#held.get(reader) ?? 0);
    this.#set(reader, bytes);
    if (!isMore) return;
    for (const [oldest] of this.#held) {
      if (this.#bytes <= this.#maxBytes || oldest === reader) return;
      this.#set(oldest, 0);
      oldest.letGo();
    }
  }

  #set(reader: AheadReader, bytes: number): void {
    this.#bytes += bytes - (this.#held.get(reader) ?? 0);
    this.#held.delete(reader);
    if (bytes > 0) this.#held.set(reader, bytes);
  }
}

/** What is known of a partition's share of a `pub`. */
export interface PartitionTally {
  readonly partition: number;
  readonly records: number;
  /** Undefined where the answers carry no offsets (`--acks none`). */
  readonly firstOffset: number | undefined;
  readonly lastOffset: number | undefined;
}

/** Counts acknowledged records and the offsets they got, per partition. */
export class PublishTally {
  /** Records that were acknowledged. */
  records = 0;
  readonly #partitions = new Map<
    number,
    { records: number; first: number | undefined; last: number | undefined }
  >();

  /** @param offset undefined, or negative, where the answer carries none */
  add(partition: number, offset: number | undefined): void {
    this.records += 1;
    let of = this.#partitions.get(partition);
    if (of === undefined)
      this.#partitions.set(partition, (of = { records: 0, first: undefined, last: undefined }));
    of.records += 1;
    if (offset === undefined || offset < 0) return;
    of.first = Math.min(of.first ?? offset, offset);
    of.last = Math.max(of.last ?? offset, offset);
  }

  /** In order of partition. */
  partitions(): PartitionTally[] {
    return [...this.#partitions]
      .sort(([a], [b]) => a - b)
      .map(([partition, { records, first, last }]) => ({
        partition,
        records,
        firstOffset: first,
        lastOffset: last,
      }));
  }
}

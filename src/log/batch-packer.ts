/** Batches up to this size are copied next to each other, so that they do not pay for an allocation each. */
const PACKED_MAX_BYTES = 4096;
const FIRST_SLAB_BYTES = 8 * 1024;
/** Also what a stalled subscriber can keep alive with one small batch that it was handed. */
const LAST_SLAB_BYTES = 64 * 1024;

/**
 * Makes the memory a retained batch holds on to about as large as the batch.
 *
 * A Buffer keeps its whole ArrayBuffer alive: a 100-byte slice of a 1 MiB receive buffer, or of Node's shared 8 KiB pool, costs
 * all of it. Small batches are therefore copied into slabs that only this log uses; since a log drops its oldest batches first,
 * a slab goes as a whole soon after its first batch. Slabs double from 8 to 64 KiB, so that an almost empty log stays small.
 */
export class BatchPacker {
  #slab = Buffer.alloc(0);
  #used = 0;
  #nextSlabBytes = FIRST_SLAB_BYTES;

  /** Returns `batch` itself when its memory is its own, else a copy of it. */
  pack(batch: Buffer): Buffer {
    if (batch.length <= PACKED_MAX_BYTES) return this.#copyToSlab(batch);
    const slack = batch.buffer.byteLength - batch.length;
    if (slack * 8 <= batch.length) return batch;
    const copy = Buffer.allocUnsafeSlow(batch.length);
    batch.copy(copy);
    return copy;
  }

  #copyToSlab(batch: Buffer): Buffer {
    if (this.#used + batch.length > this.#slab.length) {
      this.#slab = Buffer.allocUnsafeSlow(this.#nextSlabBytes);
      this.#used = 0;
      this.#nextSlabBytes = Math.min(this.#nextSlabBytes * 2, LAST_SLAB_BYTES);
    }
    const end = this.#used + batch.length;
    const packed = this.#slab.subarray(this.#used, end);
    packed.set(batch);
    this.#used = end;
    return packed;
  }
}

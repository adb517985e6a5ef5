/** Smallest room that is kept, bytes; less comes from Node's own pool. */
const MIN_BYTES = 16 * 1024;
/** Largest room that is kept, bytes: more than most messages have. */
const MAX_BYTES = 1024 * 1024;
/** Rooms that are kept. */
const KEPT = 4;

/** Memory in which messages wait to be sent, used again and again: new memory for each would be collected with all else that there is. */
export class SendBuffers {
  readonly #free: Buffer[] = [];

  /** Room for so many bytes, or more; the caller gives it back, or lets it go. */
  take(bytes: number): Buffer {
    if (bytes < MIN_BYTES) return Buffer.allocUnsafe(bytes);
    if (bytes > MAX_BYTES) return Buffer.allocUnsafeSlow(bytes);
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(MAX_BYTES);
  }

  /** Nobody reads it any more. */
  giveBack(room: Buffer): void {
    if (room.length === MAX_BYTES && this.#free.length < KEPT) this.#free.push(room);
  }
}

/** A bound in bytes that several parts share; it only counts, what happens when it is full is theirs to decide. */
export class ByteBudget {
  /** Bytes taken and not given back. */
  usedBytes = 0;
  readonly limitBytes: number;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  /** Bytes used above the limit; 0 when there are none. */
  get excessBytes(): number {
    return Math.max(0, this.usedBytes - this.limitBytes);
  }

  /** Counts `bytes` also beyond the limit. */
  take(bytes: number): void {
    this.usedBytes += bytes;
  }

  /** Counts `bytes` when they fit; says whether they did. */
  tryTake(bytes: number): boolean {
    if (this.usedBytes + bytes > this.limitBytes) return false;
    this.usedBytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.usedBytes -= bytes;
  }
}

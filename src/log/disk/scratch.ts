/** Room that each buffer has, bytes: what is read of a file at once, where there is so much. */
export const SCRATCH_BYTES: number = 1024 * 1024;
/** Kept between uses. A start reads and writes through one after the other, for each of thousands of logs. */
const KEPT = 4;

const kept: Buffer[] = [];

/** Memory to read files through. @returns at least `bytes`; whatever was in it before */
export function takeScratch(bytes: number): Buffer {
  if (bytes > SCRATCH_BYTES) return Buffer.allocUnsafeSlow(bytes);
  return kept.pop() ?? Buffer.allocUnsafeSlow(SCRATCH_BYTES);
}

/** Gives back what {@link takeScratch} gave; nobody may look at it any more. */
export function giveScratch(buffer: Buffer): void {
  if (buffer.length === SCRATCH_BYTES && kept.length < KEPT) kept.push(buffer);
}

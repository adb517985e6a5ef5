/**
 * No batch begins with it, since offsets are not negative. Not zero, and not what erased flash reads as: a write that was lost leaves
 * those, and must not look like room that somebody left.
 */
const ROOM_BYTE = 0xe7;

/** What is behind the last batch of the active segment, at most, as room for more; see `active-file.ts`. Not to be changed. */
export const SPARE_ROOM: Buffer = Buffer.alloc(64 * 1024, ROOM_BYTE);

/** Whether `bytes`, all that is behind some byte of a segment file, are room for more; none are, too. */
export function isSpareRoom(bytes: Buffer): boolean {
  return bytes.length <= SPARE_ROOM.length && bytes.equals(SPARE_ROOM.subarray(0, bytes.length));
}

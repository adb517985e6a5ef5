/** Who is waited for is asked for a sign of life after this long without one, milliseconds. */
export const AWAITED_MS = 1_000;

/** A peer of which nothing is heard for so long at least although it was asked is silent, milliseconds; longer where the way is long or slow. @see docs/adr/0011 */
export const SILENT_MS = 2_500;

/** What waits in the socket is read first, milliseconds: this process may have stood still, and not the peer. */
export const LOOK_AGAIN_MS = 5;

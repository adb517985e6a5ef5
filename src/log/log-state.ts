import type { BatchHeader } from '../wire/record-batch.ts';

/**
 * What is derived from the batches of a log and has to come back with it after a crash: what producers have sent.
 *
 * The log keeps snapshots of it beside the batches. When it is opened, or has to go back because a write failed, it calls
 * `restore` with the newest snapshot it can use (or `reset`) and then `replay` for every batch behind that, in order.
 */
export interface LogState {
  /** Forgets everything. */
  reset(): void;
  /**
   * Takes the state a snapshot holds in place of the present one.
   * @param snapshot as {@link LogState.snapshot} made it, perhaps by an earlier version
   * @throws STORAGE_FAILED when it is not understood; the log then goes on with an older one
   */
  restore(snapshot: Buffer): void;
  /** Takes in a batch that is in the log. @param header stamped */
  replay(header: BatchHeader): void;
  /** The state now, that is: with every batch that has been appended. A fresh buffer. */
  snapshot(): Buffer;
  /**
   * Forgets the batches at or above `offset`, as if they had never been: for a log in memory, which keeps no snapshots.
   * @param batchesBelow what the log still has below `offset`, the newest first; as much of it as is asked for is read
   */
  truncate(offset: number, batchesBelow: Iterable<BatchHeader>): void;
}

/** State of a log that nothing is derived from. */
export const NO_STATE: LogState = {
  reset() {
    // Nothing is kept.
  },
  restore() {
    // Nothing is kept.
  },
  replay() {
    // Nothing is kept.
  },
  snapshot: () => Buffer.alloc(0),
  truncate() {
    // Nothing is kept.
  },
};

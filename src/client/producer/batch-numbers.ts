import type { OutgoingBatch, ProducerIdentity } from './outgoing-batch.ts';
import { nextSequence } from './outgoing-batch.ts';

/** The place of a batch in the order of a producer. */
export interface BatchNumber {
  readonly identity: ProducerIdentity;
  readonly sequence: number;
}

/**
 * Identity and sequences of one partition's batches.
 *
 * A batch keeps identity and sequence over all attempts, as long as it may have been stored. Batches that the broker certainly did
 * not store are numbered anew when one before them was given up, or when the broker wants another identity.
 */
export class BatchNumbers {
  #identity: ProducerIdentity | undefined;
  #sequence = 0;
  #otherWanted = false;
  /** Where the numbers of batches that are certainly not stored begin again. */
  #holeAt: number | undefined;

  /** Whether there is an identity to number with. */
  get known(): boolean {
    return this.#identity !== undefined;
  }

  /** Begins anew with an identity, and gives it to what is certainly not stored. */
  begin(identity: ProducerIdentity, waiting: readonly OutgoingBatch[]): void {
    this.#identity = identity;
    this.#number(identity, 0, waiting);
  }

  /** Numbers a batch of so many records behind all others; undefined: it is numbered later. */
  next(recordCount: number): BatchNumber | undefined {
    const identity = this.#otherWanted ? undefined : this.#identity;
    if (identity === undefined) return undefined;
    const sequence = this.#sequence;
    this.#sequence = nextSequence(sequence, recordCount);
    return { identity, sequence };
  }

  /** The broker does not go on with this identity: {@link settle} drops it. */
  wantOther(): void {
    this.#otherWanted = true;
  }

  /**
   * A batch will not be stored, or nobody will know: its sequence is missing now. Those behind are numbered anew, or get another
   * identity when it may have been stored.
   * @returns whether it had a place in the order at all
   */
  leaveHole(batch: OutgoingBatch, behind: readonly OutgoingBatch[]): boolean {
    if (batch.identity === undefined || batch.identity !== this.#identity) return false;
    if (batch.uncertain) this.#otherWanted = true;
    else {
      makeCertain(behind);
      this.#holeAt ??= batch.sequence;
    }
    return true;
  }

  /**
   * Nothing is in flight: puts what waits in order again.
   * @returns the identity that was dropped, where another is needed
   */
  settle(waiting: readonly OutgoingBatch[]): ProducerIdentity | undefined {
    const identity = this.#identity;
    const dropped = this.#otherWanted ? identity : undefined;
    if (dropped !== undefined) this.#identity = undefined;
    else if (this.#holeAt !== undefined && identity !== undefined) {
      this.#number(identity, this.#holeAt, waiting);
    }
    this.#otherWanted = false;
    this.#holeAt = undefined;
    return dropped;
  }

  /** Numbers what is certainly not stored, in order; what may have been stored keeps its number. */
  #number(identity: ProducerIdentity, from: number, batches: readonly OutgoingBatch[]): void {
    this.#sequence = from;
    for (const batch of batches) {
      if (batch.uncertain) continue;
      batch.stamp(identity, this.#sequence);
      this.#sequence = nextSequence(this.#sequence, batch.recordCount);
    }
  }
}

/** They follow a batch that is certainly not stored, and the broker stores in order only: none of them is. */
export function makeCertain(batches: readonly OutgoingBatch[]): void {
  for (const batch of batches) batch.uncertain = false;
}

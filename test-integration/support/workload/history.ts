/** What happened while a workload ran, as its clients saw it. Plain data: {@link checkHistory} judges it. */

/** A record and where it is: records of one key are numbered 0, 1, 2, … in the order in which they were sent. */
export interface PlacedRecord {
  readonly key: string;
  readonly number: number;
  readonly partition: number;
  readonly offset: number;
}

/** A record that was acknowledged. */
export interface Acknowledgement extends PlacedRecord {
  /** Monotonic time of the answer, milliseconds. */
  readonly atMs: number;
}

/** Offsets that a subscriber was told it does not get; `to` is exclusive. */
export interface Gap {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

/** What one subscription brought, from its first record to its last. It began at the beginning of every partition. */
export interface Reading {
  readonly name: string;
  /** In the order of arrival. */
  readonly records: readonly PlacedRecord[];
  readonly gaps: readonly Gap[];
  /** Why it ended by itself, or began anew; empty when it did not. */
  readonly interruptions: readonly string[];
}

/** A workload from its beginning to its end. */
export interface History {
  /** Monotonic milliseconds: the first send, and when nothing more was sent. */
  readonly startMs: number;
  readonly endMs: number;
  readonly partitions: number;
  /** By key, how many records were sent, the refused ones among them. */
  readonly sent: ReadonlyMap<string, number>;
  /** In the order of the answers. */
  readonly acknowledged: readonly Acknowledgement[];
  /** Sends that ended with an error, for people. */
  readonly refusals: readonly string[];
  readonly readings: readonly Reading[];
}

/** A time without an acknowledgement from a partition. */
export interface Pause {
  readonly partition: number;
  readonly fromMs: number;
  readonly lengthMs: number;
}

/**
 * The longest time in which a partition acknowledged nothing, of all partitions; the time before its first acknowledgement and after its
 * last one counts.
 *
 * @param fromMs monotonic; only what is after it counts
 */
export function longestPause(history: History, fromMs = history.startMs): Pause {
  const lastMs = new Array<number>(history.partitions).fill(fromMs);
  let longest: Pause = { partition: 0, fromMs, lengthMs: 0 };
  const note = (partition: number, atMs: number): void => {
    const previousMs = lastMs[partition]!;
    const lengthMs = atMs - previousMs;
    if (lengthMs > longest.lengthMs) longest = { partition, fromMs: previousMs, lengthMs };
    lastMs[partition] = Math.max(previousMs, atMs);
  };
  for (const { partition, atMs } of history.acknowledged) note(partition, atMs);
  for (let partition = 0; partition < history.partitions; partition++) note(partition, history.endMs);
  return longest;
}

import type { LogState } from '../log-state.ts';
import type { LeaderEpochs } from '../leader-epochs.ts';
import type { LogWriter } from './log-writer.ts';
import type { SegmentStore } from './segment-store.ts';
import { encodeSnapshot } from './snapshot.ts';
import type { Snapshots } from './snapshots.ts';

/** A snapshot is due after so much was appended, */
const LEAST_BYTES = 4 * 1024 * 1024;
/** and so many times what the last one took, so that snapshots cost little beside the records. */
const TIMES_ITS_SIZE = 8;
/** Of so many segments, the newest, the snapshot at their beginning is kept. */
const BASES_KEPT = 3;

/** Where a log is. */
interface Position {
  readonly logStart: number;
  readonly logEnd: number;
  readonly durableEnd: number;
}

interface ScheduleOptions {
  readonly snapshots: Snapshots;
  readonly store: SegmentStore;
  readonly writer: LogWriter;
  readonly state: LogState;
  readonly epochs: LeaderEpochs;
  /** Bytes that the newest snapshot does not speak of. */
  readonly uncoveredBytes: number;
  /** Where the log is now. */
  readonly positions: () => Position;
  /** Told when a snapshot with this start of the log is on the disk, */
  readonly onWritten: (logStart: number) => void;
  /** and when one could not be written. */
  readonly onFailed: (cause: unknown) => void;
}

/**
 * Decides when a snapshot is written.
 *
 * The state of the log's owner is ahead of the file: it knows every batch that was appended. So it is copied at one moment, and the
 * snapshot is completed when the batch that was the last one then has been written; what waits behind it is not in it.
 */
export class SnapshotSchedule {
  readonly list: Snapshots;
  readonly #options: ScheduleOptions;
  #uncoveredBytes: number;
  #wanted: boolean;
  #lastBytes = 0;
  #capture: { readonly offset: number; readonly state: Buffer } | undefined;
  #isWriting = false;
  /** The part of writing that touches files. */
  #filing: Promise<void> | undefined;
  #isHeld = false;
  /** How often it was held: what was begun before is given up. */
  #holds = 0;

  constructor(options: ScheduleOptions) {
    this.#options = options;
    this.list = options.snapshots;
    this.#uncoveredBytes = options.uncoveredBytes;
    this.#wanted = options.uncoveredBytes > 0;
  }

  appended(bytes: number): void {
    this.#uncoveredBytes += bytes;
  }

  /** A snapshot is due as soon as can be. */
  want(): void {
    this.#wanted = true;
  }

  /** Copies the state when a snapshot is due; in no append, so that state and log agree. */
  beforeWrite({ logEnd }: Position): void {
    if (this.#isHeld || this.#capture || this.#isWriting || !this.#isDue()) return;
    this.#capture = { offset: logEnd, state: this.#options.state.snapshot() };
  }

  /** A batch was written: perhaps the one that the copy waits for. */
  onBatch(position: Position): void {
    const capture = this.#capture;
    if (capture?.offset !== position.durableEnd) return;
    this.#capture = undefined;
    this.#begin(position, capture.state);
  }

  /** Nothing waits for the disk: if a snapshot is due, now is the time. */
  onIdle(position: Position): void {
    if (this.#wanted) this.whenQuiet(position);
  }

  /** Writes one if anything is not in the last, and nothing is being written. */
  whenQuiet(position: Position): void {
    if (this.#isHeld || this.#capture || this.#isWriting) return;
    if (!this.#wanted && this.#uncoveredBytes === 0) return;
    if (position.logEnd === position.durableEnd) this.#begin(position, this.#options.state.snapshot());
  }

  /** Somebody waits for one: it is begun unless one is under way, also where the last could not be written. */
  ensure(position: Position): void {
    if (this.#isWriting || this.#capture) return;
    this.#wanted = true;
    this.whenQuiet(position);
  }

  /** The one at an orderly end. @throws what the file system says */
  async last(position: Position): Promise<void> {
    if (!this.#wanted && this.#uncoveredBytes === 0 && this.list.newest === position.logEnd) return;
    await this.#options.writer.sync();
    const bytes = this.#encode(position, this.#options.state.snapshot());
    await this.list.write(position.logEnd, bytes, this.#bases());
    this.#options.onWritten(position.logStart);
  }

  /**
   * The owner's state is not that of the log, because batches it knows are not stored, or what is stored is about to change: nothing is
   * copied until {@link release}, and what has been is not written.
   */
  hold(): void {
    this.#capture = undefined;
    this.#isHeld = true;
    this.#holds++;
  }

  release(): void {
    this.#isHeld = false;
    this.onIdle(this.#options.positions());
  }

  /**
   * Resolves when no file is being written; after {@link hold}. One that waits for its turn to sync is not waited for: whoever asks may
   * be the job of the writer that it waits for.
   */
  async settled(): Promise<void> {
    await this.#filing;
  }

  #bases(): number[] {
    return this.#options.store.segments.slice(-BASES_KEPT).map(({ baseOffset }) => baseOffset);
  }

  #isDue(): boolean {
    return this.#wanted || this.#uncoveredBytes >= Math.max(LEAST_BYTES, TIMES_ITS_SIZE * this.#lastBytes);
  }

  #begin(position: Position, state: Buffer): void {
    const bytes = this.#encode(position, state);
    this.#wanted = false;
    this.#uncoveredBytes = 0;
    this.#lastBytes = bytes.length;
    this.#isWriting = true;
    void this.#write(position.durableEnd, bytes).then((isWritten) => {
      this.#isWriting = false;
      if (!isWritten) return;
      this.#options.onWritten(position.logStart);
      // Wanted again meanwhile, with nothing being appended that would bring it about.
      this.onIdle(this.#options.positions());
    });
  }

  /** One that cannot be written is tried again later; the log does not need it to go on. */
  async #write(offset: number, bytes: Buffer): Promise<boolean> {
    const holds = this.#holds;
    try {
      await this.#options.writer.syncNow();
      if (holds === this.#holds) {
        const filing = this.list.write(offset, bytes, this.#bases());
        // Whoever waits for it wants to know when it is over, not how.
        this.#filing = filing.catch(() => undefined);
        await filing;
        return true;
      }
    } catch (cause) {
      // For the log it is as if it had not been tried.
      if (holds === this.#holds) this.#options.onFailed(cause);
    }
    this.#uncoveredBytes += 1;
    return false;
  }

  #encode({ logStart, durableEnd }: Position, state: Buffer): Buffer {
    const { store, epochs } = this.#options;
    const { active, segments } = store;
    const facts = {
      offset: durableEnd,
      segment: active.baseOffset,
      position: active.bytes,
      logStart,
      epochs: epochs.entries.filter(({ firstOffset }) => firstOffset < durableEnd),
      segments: segments.map((one) => ({
        baseOffset: one.baseOffset,
        nextOffset: one.nextOffset,
        bytes: one.bytes,
        maxTimestampMs: Number.isFinite(one.maxTimestampMs) ? one.maxTimestampMs : null,
        firstAppendMs: one.firstAppendMs,
        lastAppendMs: one.lastAppendMs,
      })),
    };
    return encodeSnapshot(facts, active.index!.encode(active), state);
  }
}

import type { Clock } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import { storageError } from '../../kernel/storage-error.ts';
import type { LogState } from '../log-state.ts';
import { rewritePart } from './damage.ts';
import type { DiskShared } from './disk-shared.ts';
import { HealTimer } from './heal-timer.ts';
import type { LogCleaner } from './log-cleaner.ts';
import { resetLog } from './log-reset.ts';
import type { LossMark } from './loss-mark.ts';
import { AT_END } from './loss-mark.ts';
import type { LogWriter, UnsyncedEnd } from './log-writer.ts';
import { findLoss, restoreState, rewind } from './rewind.ts';
import type { SegmentRemoval } from './segment-removal.ts';
import type { OnCorrupt, SegmentStore } from './segment-store.ts';
import { Segment } from './segment.ts';
import type { SnapshotSchedule } from './snapshot-schedule.ts';

/** What healing knows of its log, and tells it. */
export interface HealingHost {
  readonly directory: string;
  readonly clock: Clock;
  readonly durableEnd: number;
  /** Nothing at or above `end` is promised any more, nor to be read. */
  unpromise(end: number): void;
  /** Files are cut off: the log ends here. */
  endAt(end: number): void;
  /** The log is empty and begins here. */
  beginAt(offset: number): void;
  /** Whoever waits for what was appended waits in vain. */
  onTakenBack(error: SluiceError): void;
  /** A fault has cost what was promised; the log ends here. */
  onLost(end: number): void;
  onHealed(): void;
}

/** What healing works with. */
export interface HealingParts {
  readonly store: SegmentStore;
  readonly writer: LogWriter;
  readonly snapshots: SnapshotSchedule;
  readonly cleaner: LogCleaner;
  readonly removal: SegmentRemoval;
  readonly shared: DiskShared;
  readonly state: LogState;
  readonly loss: LossMark;
  readonly onCorrupt: OnCorrupt;
}

/** Something failed, and is tried again until it works. */
interface Failed {
  readonly kind: 'failed';
  readonly error: SluiceError;
  /** What was acknowledged before and may have been lost by it. */
  readonly doubtful: UnsyncedEnd | undefined;
  /** Where the log is to begin anew, which is not so on the disk yet. */
  readonly resetTo: number | undefined;
}

/** Being cut off: an append now would be behind what is being dropped. */
interface Cutting {
  readonly kind: 'cutting';
  readonly failed: Failed | undefined;
  readonly resetTo: number | undefined;
}

type Phase = { readonly kind: 'well' } | Cutting | Failed;

const WELL: Phase = { kind: 'well' };

/**
 * Takes a log back: because it is to be cut off, or to begin anew, or because a write has failed.
 *
 *     well ── truncate, reset ─> cutting ── done ─> well
 *       └─ a write fails ─> failed <─ it fails ─┘
 *                             └─ tried again and again ─> well
 *
 * A step that fails halfway is brought to its end before anything else is done with the files.
 */
export class LogHealing {
  readonly #host: HealingHost;
  readonly #parts: HealingParts;
  readonly #timer: HealTimer;
  #phase: Phase = WELL;
  #isStopped = false;

  constructor(host: HealingHost, parts: HealingParts) {
    this.#host = host;
    this.#parts = parts;
    this.#timer = new HealTimer(host.clock, () => parts.writer.run(() => this.#heal()));
  }

  /** What has failed and is not well yet. */
  get failure(): SluiceError | undefined {
    return failedOf(this.#phase)?.error;
  }

  /** Why nothing is appended now. */
  get refusal(): SluiceError | undefined {
    if (this.failure || this.#phase.kind !== 'cutting') return this.failure;
    return new SluiceError('UNAVAILABLE', 'the log is being cut off; try again');
  }

  /** A write, or what else is done with files, failed. @returns false when it is no news */
  fail(error: SluiceError): boolean {
    if (this.failure) return false;
    const resetTo = this.#phase.kind === 'cutting' ? this.#phase.resetTo : undefined;
    this.#phase = { kind: 'failed', error, doubtful: this.#parts.writer.unsynced, resetTo };
    this.#timer.begin();
    return true;
  }

  /** Cuts the log off at `offset`, with all that is derived from it. @throws STORAGE_FULL, STORAGE_FAILED */
  truncate(offset: number): Promise<void> {
    return this.#cut(() => this.#goBack(offset));
  }

  /** Has the log begin anew. @throws STORAGE_FULL, STORAGE_FAILED */
  reset(offset: number): Promise<void> {
    return this.#cut(async (cutting) => {
      const { cleaner, removal, store, state } = this.#parts;
      await cleaner.hold();
      this.#phase = { ...cutting, resetTo: offset };
      removal.forget();
      store.reset(Segment.active(this.#host.directory, offset));
      this.#host.beginAt(offset);
      state.reset();
      await this.#beginAnew(offset);
    });
  }

  /** Tries nothing more. */
  stop(): void {
    this.#isStopped = true;
    this.#timer.stop();
  }

  /** Has `job` take back what was appended, while nothing is appended or written. */
  #cut(job: (cutting: Cutting) => Promise<void>): Promise<void> {
    const { writer, snapshots } = this.#parts;
    return writer.run(async () => {
      const failed = failedOf(this.#phase);
      const cutting: Cutting = { kind: 'cutting', failed, resetTo: failed?.resetTo };
      this.#phase = cutting;
      writer.drop();
      snapshots.hold();
      try {
        await job(cutting);
        this.#phase = failed ? { ...failed, resetTo: undefined } : WELL;
      } catch (cause) {
        writer.fail(cause);
        if (failed) this.#phase = { ...failed, resetTo: this.#resetTo };
        throw storageError(cause, `cannot cut off ${this.#host.directory}`);
      } finally {
        this.#host.onTakenBack(
          new SluiceError('UNAVAILABLE', 'what was appended was taken back; send it again'),
        );
      }
      if (!failed) snapshots.release();
    });
  }

  async #heal(): Promise<void> {
    const failed = failedOf(this.#phase);
    if (this.#isStopped || !failed) return;
    const { store, writer, cleaner, shared, snapshots, onCorrupt } = this.#parts;
    const { active } = store;
    const promisedEnd = this.#host.durableEnd;
    const doubtful = failed.doubtful?.segment === active ? failed.doubtful : undefined;
    // What was acknowledged without being synced may be gone: the system takes for clean what it could not write.
    const loss = doubtful && (await findLoss(shared, doubtful, cleaner.hasHoles));
    if (loss) onCorrupt(active.path, loss.position, loss.reason);
    const end = Math.min(promisedEnd, loss?.nextOffset ?? Infinity);
    if (end < promisedEnd) await this.#parts.loss.note(AT_END);
    try {
      await this.#goBack(end);
    } finally {
      if (this.#host.durableEnd < promisedEnd) this.#host.onLost(this.#host.durableEnd);
    }
    // And what can still be read would never be written by it: a sync after one that failed says nothing.
    if (doubtful) await rewritePart(shared.files, active.path, doubtful.position, active.bytes);
    this.#phase = { ...failed, doubtful: undefined, resetTo: undefined };
    // A file whose write failed is not written to any more.
    await writer.roll();
    this.#phase = WELL;
    snapshots.release();
    this.#host.onHealed();
  }

  get #resetTo(): number | undefined {
    return this.#phase.kind === 'well' ? undefined : this.#phase.resetTo;
  }

  /** Brings it about on the disk that the log is empty and begins at `offset`. */
  async #beginAnew(offset: number): Promise<void> {
    const { store, writer, snapshots, cleaner, removal, shared } = this.#parts;
    await snapshots.settled();
    await removal.settled();
    await writer.closeFile();
    await resetLog(shared.files, this.#host.directory, offset);
    // Somebody who had begun to read before may have opened what had this name.
    shared.openFiles.forget(store.active.path);
    snapshots.list.clear();
    cleaner.reset();
    await this.#parts.loss.cut(offset);
    await writer.open();
    cleaner.resume();
  }

  async #goBack(offset: number): Promise<void> {
    // What was begun has to come to its end first: until then there may be no files that fit.
    if (this.#resetTo !== undefined) return this.#beginAnew(this.#resetTo);
    const { store, writer, snapshots, cleaner, shared, state } = this.#parts;
    await cleaner.hold();
    await snapshots.settled();
    await writer.closeFile();
    await snapshots.list.removeAbove(offset);
    await cleaner.truncate(offset);
    // From here on it is cut: when that fails halfway, healing brings it to its end.
    this.#host.unpromise(offset);
    const end = await rewind(store, this.#host.directory, shared, offset);
    this.#host.endAt(end);
    await restoreState(store, snapshots.list, shared, state, end);
    await this.#parts.loss.cut(end);
    await writer.open();
    cleaner.resume();
  }
}

function failedOf(phase: Phase): Failed | undefined {
  if (phase.kind === 'cutting') return phase.failed;
  return phase.kind === 'failed' ? phase : undefined;
}

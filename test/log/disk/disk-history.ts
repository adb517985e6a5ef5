import { expect } from 'vitest';
import { SluiceError } from '../../../src/kernel/errors.ts';
import type { DiskLog, DiskLogSettings } from '../../../src/log/disk/disk-log.ts';
import { isSpareRoom } from '../../../src/log/disk/spare-room.ts';
import { readBatchHeader, stampBatch } from '../../../src/wire/record-batch.ts';
import { batchOf } from '../../support/batch.ts';
import { checkSame } from '../../support/cheap-checks.ts';
import type { DiskCall } from '../../support/fake-disk-calls.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeDisk } from '../../support/fake-disk.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';
import { turns } from '../../support/turns.ts';
import type { Comeback } from '../array-log.ts';
import { ArrayLog } from '../array-log.ts';
import { CompactedArray } from '../compacted-array.ts';
import { LOG_DIRECTORY, openDiskLog } from './open-disk-log.ts';
import { ProducerRecall } from '../producer-recall.ts';

/** What an append may be refused with. */
const REFUSALS = ['STORAGE_FULL', 'STORAGE_FAILED', 'OVERLOADED'];
const PRODUCERS = 4;

/** Where a disk stops. */
export interface Stop {
  /** Which process, from 1 on. */
  readonly life: number;
  /** Which of its calls, from 0 on. */
  readonly call: number;
  /** So much of it is done when it is a write. */
  readonly bytes: number;
}

/** The life of one log over many processes, compared with an array at every step. */
export class DiskHistory {
  disk: FakeDisk;
  clock = new FakeClock();
  log!: DiskLog;
  state = new ProducerRecall();
  readonly model: ArrayLog;
  readonly settings: DiskLogSettings;
  readonly #random: SeededRandom;
  readonly #firstOffset: number;
  readonly #sequences = new Map<number, number>();
  readonly #calls: (readonly DiskCall[])[] = [];
  #leaderEpoch = 1;
  #deletedBefore: number;
  #isOpen = false;
  #unseenLoss = false;
  #resets = 0;
  #undo: (() => void)[] = [];
  readonly #stop: Stop | undefined;

  private constructor(random: SeededRandom, settings: DiskLogSettings, stop: Stop | undefined) {
    this.#stop = stop;
    this.#random = random;
    this.#firstOffset = random.pick([0, 0, 1000]);
    this.#deletedBefore = this.#firstOffset;
    this.settings = settings;
    this.disk = new FakeDisk({ seed: random.below(2 ** 32) });
    const Model = settings.cleanup === 'delete' ? ArrayLog : CompactedArray;
    this.model = new Model(this.#firstOffset, settings.flush === 'always');
  }

  /** @param stop a call to stop at; default: the disk stops now and then while a log is opened again */
  static async begin(random: SeededRandom, settings: DiskLogSettings, stop?: Stop): Promise<DiskHistory> {
    const history = new DiskHistory(random, settings, stop);
    await history.#open();
    return history;
  }

  /** Which process this is, from 1 on: what an earlier one still says does not count. */
  get life(): number {
    return this.#calls.length;
  }

  /** The system calls of each process. */
  get calls(): readonly (readonly DiskCall[])[] {
    return this.#calls;
  }

  /**
   * Appends a batch of random records.
   * @param hole offsets that are left out before it
   * @returns false when it was refused
   */
  append(maxValueBytes = 300, hole = 0): boolean {
    this.model.follow(this.log);
    const random = this.#random;
    const records = Array.from({ length: random.pick([1, 1, 2, 5, 20]) }, () => ({
      key: random.chance(0.7) ? `key ${random.below(20)}` : null,
      value: random.chance(0.1) ? null : 'v'.repeat(random.below(maxValueBytes)),
      timestampMs: 1000 + random.below(100_000),
    }));
    const producerId = random.chance(0.6) ? random.below(PRODUCERS) : -1;
    const baseSequence = this.#sequences.get(producerId) ?? 0;
    const batch = batchOf(records, producerId < 0 ? {} : { producerId, producerEpoch: 0, baseSequence });
    if (random.chance(0.02)) this.#leaderEpoch += 1;
    stampBatch(batch, this.log.logEnd + hole, this.#leaderEpoch);
    const header = readBatchHeader(batch);
    try {
      this.log.append(Buffer.from(batch));
    } catch (error) {
      expect(REFUSALS).toContain(error instanceof SluiceError ? error.code : error);
      return false;
    }
    this.#sequences.set(producerId, baseSequence + records.length);
    this.state.replay(header);
    this.model.append(batch);
    const [life, resets, end] = [this.life, this.#resets, this.log.logEnd];
    this.log.whenDurable(end, (error) => {
      if (life === this.life && resets === this.#resets && !error) this.model.promise(end);
    });
    return true;
  }

  /** Reads from a random offset on. */
  async read(): Promise<void> {
    this.model.follow(this.log);
    const { logStart, durableEnd } = this.log;
    const offset = this.#random.between(logStart, durableEnd);
    const maxBytes = this.#random.pick([1, 500, 5000, 1e6]);
    const batches = await this.unlessStopped(Promise.resolve(this.log.read(offset, durableEnd, maxBytes)));
    if (batches) this.model.checkRead(batches, offset, durableEnd, maxBytes);
  }

  /** Reads all that is durable, and compares. */
  async readAll(): Promise<void> {
    this.model.follow(this.log);
    const { durableEnd } = this.log;
    let offset = this.log.logStart;
    while (offset < durableEnd) {
      const batches = await this.unlessStopped(Promise.resolve(this.log.read(offset, durableEnd, 20_000)));
      if (!batches) return;
      this.model.checkRead(batches, offset, durableEnd, 20_000);
      // A compacted log may have a hole at its end.
      if (batches.length === 0) return;
      const last = readBatchHeader(batches.at(-1)!);
      offset = last.baseOffset + last.lastOffsetDelta + 1;
    }
  }

  /** Lets the log do all that it has begun, or the disk stop. */
  async settle(): Promise<void> {
    for (let calls = -1; calls !== this.disk.calls.length;) {
      calls = this.disk.calls.length;
      await turns(3);
    }
    if (this.disk.isStopped) return;
    this.model.follow(this.log);
    if (this.#undo.length === 0) this.model.startFloor = this.#deletedBefore;
  }

  /** Lets time pass. */
  async pass(ms: number): Promise<void> {
    // What was appended is written before, so that the flush is for that too.
    await this.settle();
    this.clock.advance(ms);
    await this.settle();
    const flushed = this.settings.flush === 'interval' && ms > this.settings.flushIntervalMs;
    if (flushed && this.#undo.length === 0 && !this.disk.isStopped && !this.log.failure) this.model.harden();
  }

  /** Drops records at the front. @param share of what is durable */
  deleteBefore(share: number): void {
    const { logStart, durableEnd } = this.log;
    const offset = logStart + Math.floor((durableEnd - logStart + 1) * share);
    this.log.deleteBefore(offset);
    checkSame(this.log.logStart, offset, 'start after deleteBefore');
    this.#deletedBefore = offset;
  }

  /** Cuts records off at the end. @param share of what is there that stays */
  async truncate(share: number): Promise<void> {
    await this.heal();
    const { logStart, logEnd } = this.log;
    const wanted = logStart + Math.floor((logEnd - logStart + 1) * share);
    const offset = this.model.entries.findLast(({ base }) => base <= wanted)?.base ?? logEnd;
    if (offset < logStart) return;
    const done = await this.unlessStopped(Promise.resolve(this.log.truncate(offset)).then(() => true));
    if (done !== true) {
      this.model.doubt(offset);
      return;
    }
    this.model.truncate(offset);
    this.model.follow(this.log);
    this.checkState();
  }

  /** Has the log begin anew, somewhere. */
  async reset(): Promise<void> {
    await this.heal();
    if (this.disk.isStopped) return;
    const { logStart, logEnd } = this.log;
    const random = this.#random;
    // Where there was a segment, too.
    const offset = random.pick([0, logStart, logEnd, random.between(logStart, logEnd), logEnd + 100]);
    this.model.beginAnew(offset);
    this.#resets++;
    this.#deletedBefore = offset;
    const done = await this.unlessStopped(Promise.resolve(this.log.reset(offset)).then(() => true));
    if (done !== true) return;
    this.model.isAnew();
    this.model.follow(this.log);
    this.checkState();
  }

  /** Something goes wrong with the disk, for a while or until {@link DiskHistory.heal}. */
  fault(random: SeededRandom): void {
    const path = random.pick([/./, /\.log$/, /\.snapshot/]);
    const times = random.pick([1, 2, 30]);
    const faults: (() => () => void)[] = [
      () => this.disk.fail({ code: 'EIO', kinds: ['write'], path, times }),
      () => this.disk.fail({ code: 'EIO', kinds: ['sync', 'syncDirectory'], path, times }),
      () => this.disk.fail({ code: 'EIO', kinds: ['write', 'sync'], path, after: random.below(5), times }),
      () => this.disk.fail({ code: 'EROFS' }),
      () => this.disk.fail({ code: 'EACCES', kinds: ['makeDirectory', 'rename', 'removeFile'] }),
      () => this.disk.hold(),
      () => {
        this.disk.capacityBytes = random.below(40_000);
        return () => (this.disk.capacityBytes = Infinity);
      },
    ];
    this.#undo.push(random.pick(faults)());
    if (this.settings.flush === 'always' && random.chance(0.2)) this.disk.dropCaches();
  }

  /** All faults end, and the log has the time it takes to be well again. */
  async heal(): Promise<void> {
    if (this.#undo.length === 0 && this.log.failure === undefined) return this.settle();
    for (const undo of this.#undo.splice(0)) undo();
    for (let n = 0; n < 6; n++) await this.pass(12_000);
    if (this.disk.isStopped) return;
    checkSame(this.log.failure, undefined, 'a fault that is over');
    checkSame(this.log.durableEnd, this.log.logEnd, 'durable end after a fault');
    this.checkState();
  }

  /** Stops the node as it should be, and starts it again. */
  async restart(): Promise<void> {
    await this.heal();
    this.model.follow(this.log);
    await this.settle();
    const closed = await this.unlessStopped(Promise.resolve(this.log.close()).then(() => true));
    if (closed !== true) return;
    this.model.promise(this.model.end);
    this.model.harden();
    checkSame(this.disk.openFiles, 0, 'files left open');
    this.disk = this.#random.chance(0.5) ? this.disk.kill() : this.disk.crash(this.#random);
    await this.#open('closed');
  }

  /** Ends the process, or the power, now or where the disk stopped. */
  async crash(
    comeback: 'killed' | 'powerLost' = this.#random.pick(['killed', 'powerLost']),
    random = this.#random,
  ): Promise<void> {
    // What the log said last, although it had not done it yet.
    if (this.#isOpen && !this.model.isBeginning)
      this.model.start = Math.max(this.model.start, this.log.logStart);
    this.disk = comeback === 'killed' ? this.disk.kill() : this.disk.crash(random);
    await this.#open(comeback);
  }

  /** The value of a promise, or undefined when the disk stopped before there was one. */
  async unlessStopped<T>(promise: Promise<T>): Promise<T | undefined> {
    const { disk } = this;
    const guarded = promise.catch((error: unknown) => {
      if (disk.isStopped) return undefined;
      throw error;
    });
    return Promise.race([guarded, disk.stopped.then(() => undefined)]);
  }

  async #open(comeback?: Comeback): Promise<void> {
    this.#undo = [];
    this.disk.capacityBytes = Infinity;
    // One that ended before it had been looked at leaves what the end before it may have cost.
    let way = this.#unseenLoss ? 'powerLost' : comeback;
    for (;;) {
      this.#calls.push(this.disk.calls);
      this.#armStop(way !== undefined);
      this.clock = new FakeClock(this.clock.now() + this.#random.below(1000));
      this.state = new ProducerRecall();
      const opened = await this.unlessStopped(
        openDiskLog({
          disk: this.disk,
          clock: this.clock,
          state: this.state,
          settings: this.settings,
          firstOffset: this.#firstOffset,
        }),
      );
      if (opened) {
        this.log = opened;
        this.#isOpen = true;
        break;
      }
      this.#unseenLoss = way === 'powerLost';
      if (this.#stop?.life === this.life) return;
      // It ended again while it was starting.
      const next = this.#random.pick(['killed', 'powerLost'] as const);
      if (way !== 'powerLost') way = way === 'closed' ? 'closed' : next;
      this.disk = next === 'killed' ? this.disk.kill() : this.disk.crash(this.#random);
    }
    if (way === undefined) return;
    this.#unseenLoss = way === 'powerLost';
    const back = await this.unlessStopped(this.model.comeBack(this.log, way).then(() => true));
    if (back !== true) return this.crash();
    this.#unseenLoss = false;
    this.#deletedBefore = Math.min(this.#deletedBefore, this.log.logStart);
    this.checkState();
    this.#checkFiles(way === 'closed');
  }

  #armStop(again: boolean): void {
    if (this.#stop?.life === this.life) this.disk.stopAt(this.#stop.call, this.#stop.bytes);
    else if (!this.#stop && again && this.#random.chance(0.2)) this.disk.stopAt(this.#random.below(30));
  }

  /** Nothing is in the active segment's file but its batches, and room for more: an unfinished write at its end was cut off. */
  #checkFiles(isClosed: boolean): void {
    const name = this.disk.names(LOG_DIRECTORY).findLast((one) => one.endsWith('.log'))!;
    const batches = this.model.entries.filter(({ base }) => base >= Number(name.slice(0, -4)));
    const bytes = batches.reduce((sum, batch) => sum + batch.bytes.length, 0);
    const room = this.disk.peek(`${LOG_DIRECTORY}/${name}`)!.subarray(bytes);
    const mayBe = !isClosed && this.settings.flush === 'always';
    checkSame(mayBe ? isSpareRoom(room) : room.length === 0, true, `room behind ${name}`);
  }

  /** Compares what came back of the producers with the batches of the model. */
  checkState(): void {
    const headers = this.model.entries.map(({ bytes }) => readBatchHeader(bytes));
    this.state.expectLike(headers, this.model.start);
    this.#sequences.clear();
    for (const { producerId, baseSequence, recordCount } of headers) {
      this.#sequences.set(producerId, baseSequence + recordCount);
    }
  }
}

import type { Clock, Timer } from '../../kernel/clock.ts';
import type { SluiceError } from '../../kernel/errors.ts';
import { asSluiceError } from '../../kernel/errors.ts';
import type { Job } from './job.ts';
import type { Jobs } from './jobs.ts';
import type { Lease } from './lease.ts';
import { LeasedRecords } from './leased-records.ts';
import type { QueuePlan } from './options.ts';
import { RECEIVE_MAX_RECORDS } from './options.ts';

/** What the source needs of its queue. */
export interface SourceHost {
  readonly clock: Clock;
  readonly plan: QueuePlan;
  readonly jobs: Jobs;
  /** Bound of inflated batches, bytes. */
  inflatedMaxBytes(): number;
  /** The queue cannot be read. */
  failed(error: SluiceError): void;
}

/** How long a request waits at the broker while nothing is to be had, milliseconds. */
const RECEIVE_WAIT_MS = 20_000;
/** What waits here is given back when that share of its lease is over: what is handed out has the rest of it for the work. */
const PATIENCE = 2 / 3;
/** Settlements on their way are bounded by so many times the credit. */
const UNCONFIRMED_FACTOR = 10;

/**
 * Keeps jobs ready for whoever takes them: asks for as many as the credit allows as soon as half of it is free, so that the next answer is on its
 * way while the last one is worked on.
 *
 *     receive ──> leased records, in order of arrival ──> take ──> job
 *                     └─ too old: given back
 *
 * Who takes too little for the credit gets less at a time, until everything that came was taken in time.
 */
export class JobSource {
  readonly #host: SourceHost;
  readonly #waiting: (() => void)[] = [];
  #ready: { readonly records: LeasedRecords; readonly staleMs: number }[] = [];
  #bufferedRecords = 0;
  #bufferedBytes = 0;
  /** Records asked for and not answered since the last start. */
  #requested = 0;
  #receiving = 0;
  #running = new AbortController();
  #credit: number;
  /** Jobs taken since something was given back. */
  #taken = 0;
  #staleTimer: Timer | undefined;
  #fillTurn: NodeJS.Immediate | undefined;

  constructor(host: SourceHost) {
    this.#host = host;
    this.#credit = host.plan.credit;
    this.#running.abort();
  }

  /** Requests that are not answered. */
  get receiving(): number {
    return this.#receiving;
  }

  get #isRunning(): boolean {
    return !this.#running.signal.aborted;
  }

  /** Resolves when all requests are answered. */
  async whenAnswered(): Promise<void> {
    while (this.#receiving > 0) await this.wait();
  }

  /** Begins to ask. Idempotent. */
  start(): void {
    if (this.#isRunning) return;
    this.#running = new AbortController();
    this.fill();
  }

  /** Asks no more, and gives back what waits, also what still comes. Idempotent. */
  stop(): void {
    this.#running.abort();
    this.#staleTimer?.cancel();
    this.#staleTimer = undefined;
    clearImmediate(this.#fillTurn);
    this.#fillTurn = undefined;
    for (const { records } of this.#ready.splice(0)) this.#giveBack(records);
    this.#bufferedBytes = 0;
    this.#requested = 0;
    this.wake();
  }

  /** A job, if one is ready. */
  take(): Job | undefined {
    for (let head = this.#ready[0]; head !== undefined; head = this.#ready[0]) {
      const { records, staleMs } = head;
      if (this.#host.clock.monotonicMs() >= staleMs) {
        this.#dropStale();
        continue;
      }
      const before = records.left;
      const job = this.#host.jobs.jobOf(records);
      this.#bufferedRecords -= before - records.left;
      if (records.left === 0) this.#shift();
      if (job === undefined) continue;
      this.#taken += 1;
      this.fillSoon();
      return job;
    }
    return undefined;
  }

  /** Resolves when something may have changed: jobs came, or {@link wake} was called. */
  wait(): Promise<void> {
    this.fill();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Asks for what the credit allows, at the end of this turn: who takes all there is in one turn is better served by one large answer. */
  fillSoon(): void {
    if (this.#fillTurn !== undefined || this.#free === 0) return;
    this.#fillTurn = setImmediate(() => this.fill());
  }

  /** Asks for what the credit allows. */
  fill(): void {
    clearImmediate(this.#fillTurn);
    this.#fillTurn = undefined;
    const free = this.#free;
    if (free === 0) return;
    // What is settled and what is leased then are stored together.
    this.#host.jobs.flush();
    void this.#receive(free, this.#running.signal);
  }

  /** Records to ask for; 0: it is not worth it, or not allowed. */
  get #free(): number {
    if (!this.#isRunning) return 0;
    const { jobs, plan } = this.#host;
    if (this.#bufferedBytes >= plan.bufferBytes) return 0;
    if (jobs.unconfirmed >= plan.credit * UNCONFIRMED_FACTOR) return 0;
    const free = this.#credit - this.#bufferedRecords - jobs.inHand - this.#requested;
    return free >= Math.max(1, this.#credit >> 1) ? Math.min(RECEIVE_MAX_RECORDS, free) : 0;
  }

  async #receive(maxRecords: number, signal: AbortSignal): Promise<void> {
    const { plan, jobs } = this.#host;
    const { topic, group, consumerId, leaseMs } = plan;
    const question = { topic, group, consumerId, leaseMs, maxRecords, maxWaitMs: RECEIVE_WAIT_MS };
    this.#requested += maxRecords;
    this.#receiving += 1;
    try {
      const { batches, beganMs } = await jobs.receive(question, { waitMs: RECEIVE_WAIT_MS, signal });
      this.#answered(maxRecords, signal);
      let lease: Lease | undefined;
      for (const batch of batches) {
        const records = new LeasedRecords(topic, batch, beganMs, this.#host.inflatedMaxBytes(), lease);
        lease = records.lease;
        this.#push(records, beganMs, signal);
      }
    } catch (error) {
      this.#answered(maxRecords, signal);
      if (!signal.aborted) this.#refused(asSluiceError(error));
    }
    this.wake();
    this.fill();
  }

  #answered(maxRecords: number, signal: AbortSignal): void {
    if (!signal.aborted) this.#requested -= maxRecords;
    this.#receiving -= 1;
  }

  /** What may be better next time was asked again already: until now in vain. */
  #refused(error: SluiceError): void {
    if (error.code !== 'TIMEOUT') this.#host.failed(error);
  }

  #push(records: LeasedRecords, beganMs: number, signal: AbortSignal): void {
    if (signal.aborted) {
      this.#host.jobs.giveBack(records);
      return;
    }
    this.#ready.push({ records, staleMs: beganMs + records.lease.leaseMs * PATIENCE });
    this.#bufferedRecords += records.left;
    this.#bufferedBytes += records.sizeBytes;
    this.#armStale();
  }

  #shift(): void {
    const records = this.#ready.shift()!.records;
    this.#bufferedBytes -= records.sizeBytes;
    if (this.#ready.length > 0) return;
    // All was taken in time.
    this.#credit = Math.min(this.#host.plan.credit, this.#credit * 2);
    this.#taken = 0;
  }

  #giveBack(records: LeasedRecords): void {
    this.#bufferedRecords -= records.left;
    this.#host.jobs.giveBack(records);
  }

  /** Gives back what waited too long: others may be free. */
  #dropStale(): void {
    const nowMs = this.#host.clock.monotonicMs();
    const stale = this.#ready.filter(({ staleMs }) => staleMs <= nowMs);
    this.#ready = this.#ready.filter(({ staleMs }) => staleMs > nowMs);
    for (const { records } of stale) {
      this.#bufferedBytes -= records.sizeBytes;
      this.#giveBack(records);
    }
    if (stale.length > 0) {
      this.#credit = Math.max(1, Math.min(this.#credit, this.#taken));
      this.#taken = 0;
    }
    this.#armStale();
    this.fill();
  }

  #armStale(): void {
    const head = this.#ready[0];
    if (this.#staleTimer !== undefined || head === undefined) return;
    const { clock } = this.#host;
    this.#staleTimer = clock.setTimer(head.staleMs - clock.monotonicMs(), () => {
      this.#staleTimer = undefined;
      this.#dropStale();
    });
  }
}

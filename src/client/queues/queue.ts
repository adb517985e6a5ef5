import { delay } from '../../kernel/clock.ts';
import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import { INFLATED_MAX_BYTES } from '../../wire/codecs.ts';
import type { ConnectionSupervisor } from '../connection/connection-supervisor.ts';
import type { Unlisten } from '../events.ts';
import { Events } from '../events.ts';
import type { GroupRequests } from '../group-requests.ts';
import type { ClientPorts } from '../ports.ts';
import { wholeMs } from '../whole-ms.ts';
import type { QueueEvents } from './events.ts';
import type { Job } from './job.ts';
import { JobSource } from './job-source.ts';
import { Jobs } from './jobs.ts';
import type { Lease } from './lease.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import { LeasedRecords } from './leased-records.ts';
import type { QueuePlan } from './options.ts';
import { checkLeaseMs, RECEIVE_MAX_RECORDS } from './options.ts';

/** What {@link Queue.receive} asks for. */
export interface ReceiveOptions {
  /** 1 to 10,000. Default 1. */
  readonly max?: number;
  /** How long to wait while nothing is to be had, milliseconds, at most 30,000. Default 0. */
  readonly waitMs?: number;
  /** Milliseconds. Default: that of the consumer. */
  readonly leaseMs?: number;
}

/** How {@link Queue.process} works. */
export interface ProcessOptions {
  /** Handlers at work at once. Default 1. */
  readonly concurrency?: number;
  /** Ends it when what is at work is done. */
  readonly signal?: AbortSignal;
}

/** What a queue needs of its client. */
export interface QueueContext {
  readonly supervisor: ConnectionSupervisor;
  readonly ports: ClientPorts;
  /** On a stream of the consumer's own. */
  readonly requests: GroupRequests;
  /** Called once when the consumer is over. */
  onClosed(queue: Queue): void;
}

const MAX_WAIT_MS = 30_000;
/** What was asked for when the consumer closes may still be answered for so long, milliseconds. */
const LAST_ANSWERS_MS = 1000;

/**
 * A consumer of a queue: a topic whose records are leased one by one to the consumers of a group, until one of them says that it is done.
 *
 *     receive, by credit ──> leased jobs ──> iterator, or handlers of process ──> ack, nack, … ──> settle
 *
 * Every record is delivered at least once; what is not acknowledged in time comes again, with one attempt more, and after the queue's last
 * attempt it becomes a dead letter. It survives lost connections by itself: leases outlive them.
 */
export class Queue implements AsyncIterable<Job>, AsyncDisposable {
  readonly topic: string;
  readonly group: string;
  readonly #context: QueueContext;
  readonly #plan: QueuePlan;
  readonly #events = new Events<QueueEvents>();
  readonly #jobs: Jobs;
  readonly #source: JobSource;
  readonly #over = Promise.withResolvers<undefined>();
  readonly #stop = new AbortController();
  readonly #processing = new Set<Promise<void>>();
  /** Iterations and workers. */
  #readers = 0;
  #closing: Promise<void> | undefined;
  #ended = false;
  #error: SluiceError | undefined;

  constructor(context: QueueContext, plan: QueuePlan) {
    this.topic = plan.topic;
    this.group = plan.group;
    this.#context = context;
    this.#plan = plan;
    const { clock } = context.ports;
    const { ask } = context.requests;
    const jobs = new Jobs(ask, clock, plan, this.#events, () => this.#source.fillSoon());
    this.#jobs = jobs;
    this.#source = new JobSource({
      clock,
      plan,
      jobs,
      inflatedMaxBytes: () => this.#inflatedMaxBytes,
      failed: (error) => this.#end(error),
    });
  }

  /** Calls `listener` for each event of that name from now on. */
  on<Name extends keyof QueueEvents>(name: Name, listener: (event: QueueEvents[Name]) => void): Unlisten {
    return this.#events.on(name, listener);
  }

  /**
   * Takes up to `max` records, once; fewer where fewer are to be had. Each of them is to be settled.
   *
   * @throws TOPIC_NOT_FOUND, FORBIDDEN, INVALID_ARGUMENT, TIMEOUT; CLOSED
   */
  async receive({ max = 1, waitMs = 0, leaseMs = 0 }: ReceiveOptions = {}): Promise<Job[]> {
    this.#checkOpen();
    if (!Number.isInteger(max) || max < 1 || max > RECEIVE_MAX_RECORDS) {
      throw new SluiceError('INVALID_ARGUMENT', `max ${max} is not between 1 and ${RECEIVE_MAX_RECORDS}`);
    }
    if (leaseMs !== 0) checkLeaseMs(leaseMs);
    const { topic, group, consumerId } = this.#plan;
    const maxWaitMs = Math.min(wholeMs('waitMs', waitMs), MAX_WAIT_MS);
    const lease = leaseMs || this.#plan.leaseMs;
    const question = { topic, group, consumerId, maxRecords: max, maxWaitMs, leaseMs: lease };
    const options = { waitMs: maxWaitMs, signal: this.#stop.signal };
    const { batches, beganMs } = await this.#jobs.receive(question, options);
    const taken: Job[] = [];
    let leased: Lease | undefined;
    for (const batch of batches) {
      const records = new LeasedRecords(topic, batch, beganMs, this.#inflatedMaxBytes, leased);
      leased = records.lease;
      for (let job = this.#jobs.jobOf(records); job !== undefined; job = this.#jobs.jobOf(records)) {
        taken.push(job);
      }
    }
    return taken;
  }

  /**
   * The records as they come, as many at a time as `credit` says. Take each with `using`: one that is not settled at the end of its turn has
   * failed. `break` gives back what waits. Throws what {@link receive} throws.
   */
  [Symbol.asyncIterator](): AsyncIterator<Job, undefined> {
    let state: 'new' | 'reading' | 'over' = 'new';
    const end = (): void => {
      const wasReading = state === 'reading';
      state = 'over';
      if (wasReading) this.#endReading();
    };
    const step = (): IteratorResult<Job, undefined> | undefined => {
      if (this.#isOver()) end();
      if (state === 'over') return { done: true, value: undefined };
      if (state === 'new') this.#begin();
      state = 'reading';
      const job = this.#source.take();
      return job === undefined ? undefined : { done: false, value: job };
    };
    const later = async (): Promise<IteratorResult<Job, undefined>> => {
      for (;;) {
        await this.#source.wait();
        const result = step();
        if (result !== undefined) return result;
      }
    };
    return {
      // Without an async function where something is there already: this runs for each record.
      next: () => {
        try {
          const result = step();
          return result === undefined ? later() : Promise.resolve(result);
        } catch (error) {
          return Promise.reject(asSluiceError(error));
        }
      },
      return: () => {
        end();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  /**
   * Calls `handler` for each record: acknowledges it when the handler returns, gives it back with {@link Job.nack} when it throws, and
   * extends its lease meanwhile. A handler may settle its job itself.
   *
   * Resolves when `signal` aborts or the consumer is closed, and all handlers have returned.
   *
   * @throws as {@link receive}
   */
  async process(handler: (job: Job) => unknown, options: ProcessOptions = {}): Promise<void> {
    this.#checkOpen();
    const { concurrency = 1, signal } = options;
    if (!Number.isInteger(concurrency) || concurrency < 1) {
      throw new SluiceError('INVALID_ARGUMENT', `concurrency ${concurrency} is no whole number above 0`);
    }
    const keeper = new LeaseKeeper(this.#context.ports.clock, this.#plan.leaseMs || undefined);
    const wake = (): void => this.#source.wake();
    signal?.addEventListener('abort', wake);
    this.#begin();
    const workers = Array.from({ length: concurrency }, () => this.#work(handler, keeper, signal));
    const all = Promise.all(workers).then(ignore, ignore);
    this.#processing.add(all);
    try {
      await Promise.all(workers);
    } finally {
      this.#processing.delete(all);
      signal?.removeEventListener('abort', wake);
      this.#endReading();
    }
  }

  /** Lets handlers finish, gives back all that is not settled, and waits until that is stored. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= Promise.race([this.#close(), this.#over.promise]);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Ends at once; leases end by themselves. Idempotent. */
  abort(): void {
    this.#end(undefined);
  }

  get #inflatedMaxBytes(): number {
    return this.#context.supervisor.session?.limits.maxInflatedBytes ?? INFLATED_MAX_BYTES;
  }

  #checkOpen(): void {
    if (this.#isOver() || this.#closing !== undefined) {
      throw new SluiceError('CLOSED', 'this consumer of the queue is closed');
    }
  }

  /** @throws what ended it */
  #isOver(): boolean {
    if (this.#error !== undefined) throw this.#error;
    return this.#ended || this.#closing !== undefined;
  }

  #begin(): void {
    this.#readers += 1;
    this.#source.start();
  }

  #endReading(): void {
    this.#readers -= 1;
    if (this.#readers > 0) return;
    this.#source.stop();
    // Requests that wait at the broker are given up with the stream: not before what was settled on it is answered.
    void this.#jobs.idle().then(() => {
      if (this.#readers === 0 && this.#source.receiving > 0) this.#context.requests.cut();
    });
  }

  async #work(
    handler: (job: Job) => unknown,
    keeper: LeaseKeeper,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    while (!this.#isOver() && signal?.aborted !== true) {
      const job = this.#source.take();
      if (job === undefined) await this.#source.wait();
      else await this.#handle(handler, keeper, job);
    }
  }

  async #handle(handler: (job: Job) => unknown, keeper: LeaseKeeper, job: Job): Promise<void> {
    keeper.add(job);
    try {
      await handler(job);
      if (!job.settled) void job.ack();
    } catch (error) {
      if (!job.settled) void job.nack({ reason: error instanceof Error ? error.message : String(error) });
      this.#events.emit('failed', { job, error });
    } finally {
      keeper.delete(job);
    }
  }

  async #close(): Promise<void> {
    if (this.#ended) return;
    const { requests, ports } = this.#context;
    // The promise of this call is not there yet: those who wait see that it is closing one turn later.
    await Promise.resolve();
    this.#source.stop();
    await Promise.all(this.#processing);
    this.#jobs.releaseAll();
    await this.#jobs.idle();
    this.#stop.abort();
    requests.close();
    await Promise.race([this.#source.whenAnswered(), delay(ports.clock, LAST_ANSWERS_MS)]);
    await this.#jobs.idle();
    this.#end(undefined);
  }

  #end(error: SluiceError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#stop.abort();
    this.#source.stop();
    this.#context.requests.close();
    this.#over.resolve(undefined);
    this.#context.onClosed(this);
    this.#source.wake();
  }
}

function ignore(): void {
  // Whoever waits for it hears of it.
}

import type { Clock, Timer } from '../../kernel/clock.ts';
import type { Job } from './job.ts';

/** A lease is extended when less than that share of it is left. */
const SHARE = 2 / 3;

/** Extends the leases of jobs that are worked on, for as long as that takes. What cannot be extended is told as `unsettled`. */
export class LeaseKeeper {
  readonly #clock: Clock;
  readonly #leaseMs: number | undefined;
  readonly #jobs = new Set<Job>();
  #timer: Timer | undefined;

  /** @param leaseMs how long leases are made; undefined: as the queue is configured */
  constructor(clock: Clock, leaseMs: number | undefined) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
  }

  add(job: Job): void {
    this.#jobs.add(job);
    this.#timer ??= this.#clock.setTimer(job.leaseMs / 4, () => this.#look());
  }

  delete(job: Job): void {
    this.#jobs.delete(job);
    if (this.#jobs.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #look(): void {
    let shortestMs = Infinity;
    for (const job of this.#jobs) {
      shortestMs = Math.min(shortestMs, job.leaseMs);
      if (!job.settled && job.leaseLeftMs < job.leaseMs * SHARE) {
        job.extend(this.#leaseMs).catch(() => undefined);
      }
    }
    this.#timer = this.#clock.setTimer(shortestMs / 4, () => this.#look());
  }
}

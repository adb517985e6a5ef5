import { expect, it } from 'vitest';
import { SeededRandom } from '../../support/seeded-random.ts';
import { turns } from '../../support/turns.ts';
import { FakeTopics } from './fake-topics.ts';
import type { Job } from './queue-stage.ts';
import { QueueStage } from './queue-stage.ts';

const RECORDS = 200;
const LEASE_MS = 2000;

interface Held {
  readonly job: Job;
  /** Steady time; beyond it somebody else may have it. */
  readonly untilMs: number;
}

/** Consumers that do what consumers do, on coordinators that crash. */
class Consumers {
  stage = new QueueStage(new FakeTopics().make('jobs', 3));
  /** By value. */
  readonly held = new Map<string, Held>();
  readonly acknowledged: string[] = [];
  readonly attempts = new Map<string, number>();
  readonly #random: SeededRandom;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    this.stage.topics.isSlow = seed % 2 === 0;
  }

  async begin(): Promise<void> {
    await this.stage.configure({ leaseMs: LEASE_MS, maxAttempts: 4, backoffMs: 100 });
    for (let at = 0; at < RECORDS; at += 5) {
      const records = [0, 1, 2, 3, 4].map((i) => ({ key: `k${at % 7}`, value: `${at + i}` }));
      this.stage.topics.put('jobs', records, this.#below(3));
    }
  }

  async step(): Promise<void> {
    const dice = this.#below(20);
    if (dice < 6) await this.#receive();
    else if (dice < 9) await this.#settle('ACK');
    else if (dice < 11) await this.#settle('NACK');
    else if (dice < 12) await this.#settle('REJECT');
    else if (dice < 13) await this.#settle('RELEASE');
    else if (dice < 19) await this.stage.pass(this.#below(500));
    else this.#crash();
  }

  /** Acknowledges all that is left. */
  async finish(): Promise<void> {
    for (let round = 0; round < 100; round++) {
      await this.stage.pass(LEASE_MS);
      const { jobs } = await this.stage.receive();
      await this.stage.settle('ACK', jobs);
      this.acknowledged.push(...jobs.map(({ value }) => value!));
    }
  }

  async #receive(): Promise<void> {
    const received = this.stage.receive({ maxRecords: 1 + this.#below(20) });
    if (this.#below(4) === 0) await turns(1);
    for (const job of (await received).jobs) this.#take(job);
  }

  #take(job: Job): void {
    const nowMs = this.stage.clock.monotonicMs();
    const before = this.held.get(job.value!);
    if (before) expect(nowMs, `${job.value!} is leased twice`).toBeGreaterThanOrEqual(before.untilMs);
    expect(this.acknowledged).not.toContain(job.value);
    expect(job.attempt).toBeGreaterThanOrEqual(this.attempts.get(job.value!) ?? 1);
    expect(job.attempt).toBeLessThanOrEqual(4);
    this.attempts.set(job.value!, job.attempt);
    this.held.set(job.value!, { job, untilMs: nowMs + LEASE_MS });
  }

  async #settle(kind: 'ACK' | 'NACK' | 'REJECT' | 'RELEASE'): Promise<void> {
    const some = [...this.held.values()].filter(() => this.#below(2) === 0).map(({ job }) => job);
    const codes = await this.stage.settle(kind, some);
    for (const [at, { value }] of some.entries()) {
      this.held.delete(value!);
      if (kind === 'ACK' && codes[at] === undefined) this.acknowledged.push(value!);
    }
  }

  /** In the middle of whatever is stored or published. */
  #crash(): void {
    this.stage.log.crashAt = 0;
    const held = [...this.held];
    this.stage = this.stage.succeed();
    // Leases begin anew: nobody else gets these records sooner.
    const untilMs = this.stage.clock.monotonicMs() + LEASE_MS;
    for (const [value, { job, untilMs: before }] of held) {
      if (before > this.stage.clock.monotonicMs()) this.held.set(value, { job, untilMs });
    }
  }

  #below(end: number): number {
    return Math.floor(this.#random.fraction() * end);
  }
}

it.each(Array.from({ length: 20 }, (_, seed) => seed + Number(process.env['SEED'] ?? 0)))(
  'each record is acknowledged or a dead letter in the end, once, whatever happens (seed %i)',
  async (seed) => {
    const consumers = new Consumers(seed);
    await consumers.begin();
    for (let step = 0; step < 150; step++) await consumers.step();
    await consumers.finish();
    const dead = consumers.stage.topics.records('dlq.jobs').map(({ value }) => value!);
    const ended = [...consumers.acknowledged, ...dead].sort((a, b) => Number(a) - Number(b));
    expect(ended).toEqual(Array.from({ length: RECORDS }, (_, at) => String(at)));
    expect(await consumers.stage.counted()).toEqual({ ready: 0, leased: 0, delayed: 0 });
  },
);

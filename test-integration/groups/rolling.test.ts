/** Groups and queues in use while nodes are drained, stopped and started again, one after the other. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Client, GroupConsumer, Job, Queue } from '../../src/client/index.ts';
import { SluiceError } from '../../src/client/index.ts';
import type { ClusterStage, StagedNode } from '../cluster/stage.ts';
import { PATIENCE, untilInSync } from '../cluster/trial.ts';
import { eventually } from '../support/eventually.ts';
import { IMPATIENT } from '../support/workload/workload.ts';
import { longestPauseMs } from './check-group.ts';
import { coordinatorOf } from './coordinators.ts';
import { Feeding } from './feeding.ts';
import { LONG_MS, startStage } from './stage.ts';
import { nowMs } from './worker-task.ts';

const PARTITIONS = 6;
/** Of one request. */
const MAX_LEASED = 20;
/** Leases that two consumers can have asked for while each of three nodes goes. */
const MAX_UNSEEN = 2 * 3 * MAX_LEASED;
const LEASE_MS = 8000;
/** What no partition of a group pauses longer than while a node is stopped in order. */
const PAUSE_MS = 3000 * PATIENCE;

/** Two members of a group, and two consumers of a queue, that remember what they had. */
class Usage implements AsyncDisposable {
  /** Of each partition, when its records came to the group. */
  readonly times: number[][] = Array.from({ length: PARTITIONS }, () => []);
  /** Of each partition, the offsets that came to the group. */
  readonly offsets: number[][] = Array.from({ length: PARTITIONS }, () => []);
  readonly lost: unknown[] = [];
  /** Attempts that the queue's records had, and how acknowledgements were refused. */
  readonly attempts = new Map<string, number[]>();
  readonly refused: string[] = [];
  readonly #members: readonly GroupConsumer[];
  readonly #queues: readonly Queue[];
  readonly #running: Promise<unknown>;
  #stopped = false;

  constructor(clients: readonly Client[], topic: string) {
    const options = { topics: [topic], from: 'earliest', commitIntervalMs: 100 } as const;
    this.#members = clients.map((client) => client.group('readers', options));
    this.#queues = clients.map((client) => client.queue(topic));
    this.#running = Promise.all([
      ...this.#members.map((member) => this.#read(member)),
      ...this.#queues.map((queue) => this.#consume(queue)),
    ]);
    this.#running.catch(() => undefined);
  }

  /** Partitions of each member. */
  get assignment(): readonly (readonly number[])[] {
    return this.#members.map((member) =>
      member
        .assignment()
        .map(({ partition }) => partition)
        .toSorted(),
    );
  }

  /** Resolves when every partition was read so many records further. */
  async more(records: number): Promise<void> {
    const before = this.times.map(({ length }) => length);
    await eventually(
      'all partitions go on',
      () => this.times.every(({ length }, partition) => length >= before[partition]! + records),
      LONG_MS,
    );
  }

  longestPauseMs(fromMs: number): number {
    return Math.max(...this.times.map((times) => longestPauseMs(times, fromMs, nowMs())));
  }

  /** Ends when the consumers have nothing in hand. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#members.map((member) => member.close()));
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#stopped) await this.stop().catch(() => undefined);
    await Promise.all(this.#queues.map((queue) => queue.close()));
  }

  async #read(member: GroupConsumer): Promise<void> {
    member.on('revoked', (event) => this.lost.push(event));
    for await (const { partition, offset } of member) {
      this.times[partition]!.push(nowMs());
      this.offsets[partition]!.push(offset);
    }
  }

  async #consume(queue: Queue): Promise<void> {
    while (!this.#stopped) {
      const jobs = await queue.receive({ max: MAX_LEASED, waitMs: 500 }).catch(unlessRetryable);
      await Promise.all(jobs.map((job) => this.#work(job)));
    }
  }

  async #work(job: Job): Promise<void> {
    const name = `${job.record.partition}/${job.record.offset}`;
    this.attempts.set(name, [...(this.attempts.get(name) ?? []), job.attempt]);
    await job.ack().catch((error: unknown) => this.refused.push(`${name}: ${String(error)}`));
  }
}

function unlessRetryable(error: unknown): Job[] {
  if (error instanceof SluiceError && error.retryable) return [];
  throw error;
}

describe('groups and queues in use', () => {
  let stage: ClusterStage;
  beforeAll(async () => {
    stage = await startStage();
  });
  afterAll(() => stage[Symbol.asyncDispose]());
  beforeEach(() => untilInSync(stage));

  /** Uses a topic while something is done, and expects that nobody has lost anything. */
  async function whileInUse(topic: string, disturb: (usage: Usage) => Promise<void>): Promise<void> {
    const client = await stage.connect(undefined, { limits: IMPATIENT });
    const settings = { storage: 'disk', replicationFactor: 3, minInsync: 2 } as const;
    await client.admin.createTopic({ name: topic, partitions: PARTITIONS, settings });
    await client.admin.queues.configure(topic, { leaseMs: LEASE_MS });
    const ids = stage.nodes.map(({ nodeId }) => nodeId);
    const clients = await Promise.all(
      [ids, ids.toReversed()].map((order) => stage.connect(order, { limits: IMPATIENT })),
    );
    await using usage = new Usage(clients, topic);
    await using feeding = new Feeding(
      client,
      topic,
      PARTITIONS,
      (partition) => usage.times[partition]!.length,
    );
    await eventually(
      'half each',
      () => usage.assignment.every(({ length }) => length === PARTITIONS / 2),
      LONG_MS,
    );
    await usage.more(5);
    const before = usage.assignment;
    // Of a queue of its own: held all the time, and acknowledged when all is over.
    const held: Job[] = [];
    const holder = client.queue(topic, { group: 'held', leaseMs: 600_000 });
    while (held.length < 10) held.push(...(await holder.receive({ max: 10 - held.length, waitMs: 5000 })));
    usage.lost.length = 0;

    await disturb(usage);
    await usage.more(3);

    expect(usage.lost).toEqual([]);
    expect(usage.assignment).toEqual(before);
    const records = await feeding.stop();
    const expected = records.map((count) => Array.from({ length: count }, (_, offset) => offset));
    await eventually(
      'all is read',
      () => usage.times.every(({ length }, p) => length >= records[p]!),
      LONG_MS,
    );
    const total = records.reduce((sum, count) => sum + count, 0);
    await eventually('all is done', () => usage.attempts.size === total, LONG_MS);
    const others = await stage.connect();
    const taken = new Set(held.map(({ record }) => `${record.partition}/${record.offset}`));
    for (let left = total - held.length; left > 0;) {
      const jobs = await others.queue(topic, { group: 'held' }).receive({ max: 1000, waitMs: 5000 });
      for (const { record, attempt } of jobs)
        expect([taken.has(`${record.partition}/${record.offset}`), attempt]).toEqual([false, 1]);
      left -= jobs.length;
    }
    await Promise.all(held.map((job) => job.ack()));
    await usage.stop();
    expect(usage.offsets).toEqual(expected);
    // Whoever had a record has acknowledged it. Leases whose answer nobody got, because their coordinator went meanwhile, come again: few.
    expect(usage.refused).toEqual([]);
    const attempts = [...usage.attempts.values()];
    expect(attempts.filter(({ length }) => length > 1)).toEqual([]);
    expect(attempts.filter(([attempt]) => attempt! > 1).length).toBeLessThanOrEqual(MAX_UNSEEN);
    expect(attempts.filter(([attempt]) => attempt! > 2)).toEqual([]);
  }

  it('lose no partition and no lease while one node after the other is stopped and started again', async () => {
    await whileInUse('rolled', async (usage) => {
      for (const { nodeId, process } of stage.nodes) {
        const fromMs = nowMs();
        expect([nodeId, await process.kill('SIGTERM')]).toEqual([nodeId, 0]);
        await usage.more(2);
        expect(usage.longestPauseMs(fromMs)).toBeLessThan(PAUSE_MS);
        await process.restart();
        await stage.untilMembers(stage.nodes.map((node) => node.nodeId));
        await untilInSync(stage);
      }
    });
  });

  it('lose no partition and no lease while the node that coordinates them is drained, and takes its share again', async () => {
    await whileInUse('drained', async (usage) => {
      const coordinators: readonly StagedNode[] = await Promise.all([
        coordinatorOf(stage, 'g/readers'),
        coordinatorOf(stage, 'q/drained/default'),
      ]);
      for (const { nodeId } of new Set(coordinators)) {
        const fromMs = nowMs();
        const { admin } = await stage.connect([nodeId]);
        await admin.drainNode(nodeId);
        await eventually(
          'it leads nothing',
          async () => {
            const now = [
              await coordinatorOf(stage, 'g/readers'),
              await coordinatorOf(stage, 'q/drained/default'),
            ];
            return now.every((node) => node.nodeId !== nodeId);
          },
          LONG_MS,
        );
        await usage.more(2);
        expect(usage.longestPauseMs(fromMs)).toBeLessThan(PAUSE_MS);
        await admin.drainNode(nodeId, false);
      }
    });
  });
});

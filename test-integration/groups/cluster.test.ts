/** Groups and queues of three nodes, the coordinator of which is killed, stopped and frozen. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../../src/client/index.ts';
import type { ClusterStage, StagedNode } from '../cluster/stage.ts';
import { untilInSync } from '../cluster/trial.ts';
import { eventually } from '../support/eventually.ts';
import { coordinatorOf } from './coordinators.ts';
import { startStage } from './stage.ts';

describe('a cluster', () => {
  let stage: ClusterStage;
  beforeAll(async () => {
    stage = await startStage();
  });
  afterAll(() => stage[Symbol.asyncDispose]());

  async function makeTopic(name: string, partitions: number): Promise<Client> {
    const client = await stage.connect();
    const settings = { storage: 'disk', replicationFactor: 3, minInsync: 2 } as const;
    await client.admin.createTopic({ name, partitions, settings });
    return client;
  }

  async function publish(client: Client, topic: string, from: number, to: number): Promise<void> {
    const producer = client.producer();
    const values = Array.from({ length: to - from }, (_, nth) => String(from + nth));
    await Promise.all(values.map((value) => producer.send({ topic, value, key: value })));
    await producer.close();
  }

  /** Consumers that wait for records at the coordinators of a node. */
  async function waitingAt({ process }: StagedNode): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${process.httpPort}/metrics`)).text();
    return Number(/^sluice_queues\{what="waiting"\} (\d+)/m.exec(text)?.[1] ?? 0);
  }

  async function inOrder(): Promise<void> {
    for (const { process } of stage.nodes) if (!process.alive) await process.restart();
    await untilInSync(stage);
  }

  it('loses nothing of a queue whose coordinator is killed while it is consumed', async () => {
    const client = await makeTopic('jobs', 4);
    const consumer = await stage.connect();
    const queue = consumer.queue('jobs', { leaseMs: 10_000, credit: 200 });
    /** Acknowledged, and the broker has said so. */
    const done = new Map<string, number>();
    const doubtful = new Set<string>();
    const consuming = (async () => {
      for await (const job of queue) {
        const value = job.record.text();
        void job.ack().then(
          () => done.set(value, (done.get(value) ?? 0) + 1),
          () => doubtful.add(value),
        );
      }
    })();
    await publish(client, 'jobs', 0, 500);
    await eventually('some are done', () => done.size > 100);
    const { process } = await coordinatorOf(stage, 'q/jobs/default');
    const publishing = publish(client, 'jobs', 500, 1500);
    await process.kill('SIGKILL');
    await publishing;
    await eventually('all are done', () => new Set([...done.keys(), ...doubtful]).size === 1500, 60_000);
    await inOrder();
    await queue.close();
    await consuming;
    // What is said to be acknowledged is never delivered again.
    expect([...done].filter(([, times]) => times > 1)).toEqual([]);
    const rest = (await stage.connect()).queue('jobs');
    expect(await rest.receive({ max: 100, waitMs: 1000 })).toEqual([]);
  });

  it('a lease survives a change of coordinator, with its attempt, and nobody else gets the record meanwhile', async () => {
    const client = await makeTopic('tasks', 1);
    await publish(client, 'tasks', 0, 2);
    const queue = (await stage.connect()).queue('tasks', { leaseMs: 60_000 });
    const jobs = [];
    while (jobs.length < 2) jobs.push(...(await queue.receive({ max: 2, waitMs: 5000 })));
    const { process } = await coordinatorOf(stage, 'q/tasks/default');
    await process.kill('SIGKILL');
    const other = (await stage.connect()).queue('tasks');
    expect(await other.receive({ max: 2, waitMs: 2000 })).toEqual([]);
    await jobs[0]!.ack();
    await jobs[1]!.nack({ delayMs: 0 });
    const [again] = await other.receive({ max: 2, waitMs: 10_000 });
    expect([again?.record.text(), again?.attempt]).toEqual([jobs[1]!.record.text(), 2]);
    await again!.ack();
    await inOrder();
  });

  it('members of a group go on without moving when its coordinator is stopped in order', async () => {
    const client = await makeTopic('orders', 6);
    const members = await Promise.all(
      [0, 1].map(async () =>
        (await stage.connect()).group('billing', { topics: ['orders'], from: 'earliest' }),
      ),
    );
    const seen = new Map<string, number>();
    const reading = members.map(async (member) => {
      for await (const record of member) seen.set(record.text(), (seen.get(record.text()) ?? 0) + 1);
    });
    await publish(client, 'orders', 0, 300);
    const assigned = (): string =>
      members
        .map((member) =>
          member
            .assignment()
            .map(({ partition }) => partition)
            .sort()
            .join(),
        )
        .join(' | ');
    await eventually('three partitions each', () =>
      members.every((member) => member.assignment().length === 3),
    );
    await eventually('all 300', () => seen.size === 300);
    const before = assigned();
    const { process } = await coordinatorOf(stage, 'g/billing');
    await process.kill('SIGTERM');
    await publish(client, 'orders', 300, 600);
    await eventually('all 600', () => seen.size === 600);
    expect(assigned()).toBe(before);
    await Promise.all(members.map((member) => member.close()));
    await Promise.all(reading);
    await inOrder();
  });

  it('a coordinator that wakes after its lease tells nobody that a record is his', async () => {
    const client = await makeTopic('frozen', 1);
    const settled = client.queue('frozen');
    // Makes the queue, so that it is known who coordinates it.
    await settled.receive({ max: 1 });
    const frozen = await coordinatorOf(stage, 'q/frozen/default');
    const others = stage.nodes.filter((node) => node !== frozen).map(({ nodeId }) => nodeId);
    const before = (await stage.connect([frozen.nodeId])).queue('frozen', { leaseMs: 60_000 });
    const waiting = before.receive({ max: 10, waitMs: 20_000 });
    await eventually('it waits there', async () => (await waitingAt(frozen)) > 0);
    frozen.process.freeze();
    const there = await stage.connect(others);
    await publish(there, 'frozen', 0, 10);
    const queue = there.queue('frozen', { leaseMs: 60_000 });
    const taken: string[] = [];
    while (taken.length < 10) {
      for (const job of await queue.receive({ max: 10, waitMs: 5000 })) taken.push(job.record.text());
    }
    frozen.process.thaw();
    expect(await waiting.catch(() => [])).toEqual([]);
    expect(new Set(taken).size).toBe(10);
    await inOrder();
  });
});

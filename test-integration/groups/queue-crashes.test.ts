/** Consumers of a queue as processes that are killed, frozen and started again, while its coordinator is killed too. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Client, DeadLetter } from '../../src/client/index.ts';
import { SeededRandom } from '../../test/support/seeded-random.ts';
import type { ClusterStage } from '../cluster/stage.ts';
import { untilWhole } from '../cluster/trial.ts';
import { eventually } from '../support/eventually.ts';
import { checkQueue } from './check-queue.ts';
import { coordinatorOf } from './coordinators.ts';
import { LONG_MS, startStage } from './stage.ts';
import type { Worker } from './workers.ts';
import { Workers } from './workers.ts';
import { POISON } from './worker-task.ts';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const LEASE_MS = 2500;
const MAX_ATTEMPTS = 4;
/** Of one request of a worker. */
const MAX_LEASED = 8;
const RECORDS = 400;
const WORKERS = 3;
const KILLS = 3;

describe(`a queue whose consumers and coordinator are killed (SEED=${SEED})`, () => {
  let stage: ClusterStage;
  beforeAll(async () => {
    stage = await startStage();
  });
  afterAll(() => stage[Symbol.asyncDispose]());
  beforeEach(() => untilWhole(stage));

  async function makeQueue(topic: string): Promise<Client> {
    const client = await stage.connect();
    const settings = { storage: 'disk', replicationFactor: 3, minInsync: 2 } as const;
    await client.admin.createTopic({ name: topic, partitions: 4, settings });
    await client.admin.queues.configure(topic, {
      ...{ leaseMs: LEASE_MS, maxAttempts: MAX_ATTEMPTS, backoffMs: 50, maxBackoffMs: 200 },
    });
    return client;
  }

  async function publish(client: Client, topic: string, values: readonly string[], pauseMs: number) {
    const producer = client.producer();
    for (let at = 0; at < values.length; at += 10) {
      const some = values.slice(at, at + 10);
      await Promise.all(some.map((value) => producer.send({ topic, key: value, value })));
      if (pauseMs > 0) await pause(pauseMs);
    }
    await producer.close();
  }

  async function lettersOf({ admin }: Client, topic: string): Promise<readonly DeadLetter[]> {
    const letters: DeadLetter[] = [];
    for await (const letter of admin.deadLetters(topic).all()) letters.push(letter);
    return letters;
  }

  async function untilEmpty({ admin }: Client, topic: string): Promise<void> {
    await eventually(
      `nothing of ${topic} is left`,
      async () => {
        const { ready, leased, delayed } = await admin.queues.describe(topic);
        return ready + leased + delayed === 0;
      },
      LONG_MS,
    );
  }

  /** Leased to a worker which has not begun to settle them, with nothing on its way. */
  function untouched(workers: Workers, worker: Worker): readonly string[] {
    const begun = new Set(workers.of('effect', worker).map(({ value }) => value));
    return workers
      .of('leased', worker)
      .map(({ value }) => value)
      .filter((value) => !begun.has(value) && !value.startsWith(POISON));
  }

  it('has every record done or dead, leased to one at a time, with its attempts counted', async () => {
    const random = new SeededRandom(SEED);
    const client = await makeQueue('work');
    await using workers = new Workers(stage, {
      ...{ kind: 'queue', topic: 'work', group: 'default', max: MAX_LEASED, workMs: 5 },
    });
    const values = Array.from({ length: RECORDS }, (_, n) => (n % 25 === 9 ? `${POISON}-${n}` : `good-${n}`));
    await publish(client, 'work', values.slice(0, 100), 0);

    const zombie = workers.start({ workMs: 600 });
    await eventually('it has leases', () => untouched(workers, zombie).length >= 2, LONG_MS);
    zombie.freeze();
    const stale = untouched(workers, zombie);

    for (let n = 0; n < WORKERS; n++) workers.start();
    const publishing = publish(client, 'work', values.slice(100), 20);
    const coordinator = await coordinatorOf(stage, 'q/work/default');
    for (let round = 0; round < KILLS; round++) {
      const wanted = workers.of('settled').length + random.between(20, 60);
      await eventually('more is settled', () => workers.of('settled').length >= wanted, LONG_MS);
      await random.pick(workers.alive.filter((worker) => worker !== zombie)).kill('SIGKILL');
      workers.start();
      if (round === 1) await coordinator.process.kill('SIGKILL');
    }
    const retaken = (): boolean => {
      const taken = new Set(
        workers.of('leased').flatMap(({ worker, value }) => (worker === zombie.name ? [] : value)),
      );
      return stale.every((value) => taken.has(value));
    };
    await eventually('others have what was leased to the frozen one', retaken, LONG_MS);
    zombie.thaw();
    await publishing;
    const answers = () => workers.of('settled', zombie).filter(({ value }) => stale.includes(value));
    await eventually('it has its answers', () => answers().length >= stale.length, LONG_MS);
    await coordinator.process.restart();
    await untilEmpty(client, 'work');
    await workers.stop();

    const letters = await lettersOf(client, 'work');
    expect(
      answers()
        .slice(0, stale.length)
        .map(({ code }) => code),
    ).toEqual(stale.map(() => 'LEASE_EXPIRED'));
    const maxUnseen = MAX_LEASED * (KILLS + WORKERS + 1);
    const told = { published: values, lines: workers.lines, letters, leaseMs: LEASE_MS };
    expect(checkQueue({ ...told, maxAttempts: MAX_ATTEMPTS, maxUnseen })).toEqual([]);
    expect(workers.failures).toEqual([]);
  });

  it('puts each dead letter back once, though its coordinator is killed while it does', async () => {
    const random = new SeededRandom(SEED + 1);
    const client = await makeQueue('broken');
    const values = Array.from({ length: 300 }, (_, n) => `${n}`);
    await publish(client, 'broken', values, 0);
    const queue = (await stage.connect()).queue('broken', { leaseMs: 60_000 });
    const rejected = new Set<string>();
    while (rejected.size < values.length) {
      const jobs = await queue.receive({ max: 100, waitMs: 5000 });
      for (const { record } of jobs) rejected.add(record.text());
      await Promise.all(jobs.map((job) => job.reject('broken')));
    }
    await untilEmpty(client, 'broken');
    const dead = await lettersOf(client, 'broken');
    expect(dead.map(({ record }) => record.text()).toSorted()).toEqual(values.toSorted());
    expect(new Set(dead.map(({ reason, attempts }) => `${reason} ${attempts}`))).toEqual(
      new Set(['rejected 1']),
    );

    const begin = await client.admin.listOffsets('broken', 'latest');
    const letters = client.admin.deadLetters('broken');
    const coordinator = await coordinatorOf(stage, 'q/dlq.broken/default');
    const replaying = letters.replay().catch(() => 0);
    await pause(random.between(0, 30));
    await coordinator.process.kill('SIGKILL');
    await replaying;
    await eventually(
      'all are put back',
      async () => {
        await letters.replay().catch(() => 0);
        return (await letters.list().catch(() => [undefined])).length === 0;
      },
      LONG_MS,
    );
    await coordinator.process.restart();
    const end = await client.admin.listOffsets('broken', 'latest');
    const added = end.map(({ offset }, index) => offset - begin[index]!.offset);
    expect(added.reduce((sum, records) => sum + records, 0)).toBe(values.length);
    const back: string[] = [];
    const resume = begin.map(({ partition, offset }) => ({ topic: 'broken', partition, offset }));
    for await (const record of await client.subscribe('broken', { resume })) {
      back.push(record.text());
      if (back.length === values.length) break;
    }
    expect(back.toSorted()).toEqual(values.toSorted());
  });
});

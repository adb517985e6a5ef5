/** All nodes of a cluster are killed while consumers of a queue acknowledge: what was answered holds, what was not is done or comes again. */
import { expect, it } from 'vitest';
import type { Client, DeadLetter } from '../../src/client/index.ts';
import { eventually } from '../support/eventually.ts';
import { checkQueue } from './check-queue.ts';
import { LONG_MS, startStage } from './stage.ts';
import { Workers } from './workers.ts';
import { POISON } from './worker-task.ts';

const TOPIC = 'jobs';
const LEASE_MS = 2500;
const MAX_ATTEMPTS = 4;
const MAX_LEASED = 10;
const RECORDS = 800;
const WORKERS = 4;
const KILLS = 2;
/** Of every second worker: less than a cluster needs to come back. */
const IMPATIENT_MS = 1000;

async function publish(client: Client): Promise<string[]> {
  const values = Array.from({ length: RECORDS }, (_, n) => (n % 100 === 9 ? `${POISON}-${n}` : `good-${n}`));
  const producer = client.producer();
  await Promise.all(values.map((value) => producer.send({ topic: TOPIC, key: value, value })));
  await producer.close();
  return values;
}

async function isEmpty({ admin }: Client): Promise<boolean> {
  const { ready, leased, delayed } = await admin.queues.describe(TOPIC);
  return ready + leased + delayed === 0;
}

it('a queue loses nothing and repeats nothing that is acknowledged when all nodes are killed', async () => {
  await using stage = await startStage();
  const client = await stage.connect();
  const settings = { storage: 'disk', replicationFactor: 3, minInsync: 2 } as const;
  await client.admin.createTopic({ name: TOPIC, partitions: 4, settings });
  await client.admin.queues.configure(TOPIC, {
    ...{ leaseMs: LEASE_MS, maxAttempts: MAX_ATTEMPTS, backoffMs: 50, maxBackoffMs: 200 },
  });
  const published = await publish(client);

  const common = { kind: 'queue', topic: TOPIC, group: 'default', max: MAX_LEASED, atOnce: true } as const;
  await using workers = new Workers(stage, { ...common, workMs: 5 });
  for (let n = 0; n < WORKERS; n++) workers.start(n % 2 === 0 ? { requestTimeoutMs: IMPATIENT_MS } : {});
  for (let round = 1; round <= KILLS; round++) {
    const wanted = (round * RECORDS) / (KILLS + 2);
    const areUnderWay = (): boolean => {
      const settled = workers.of('settled').length;
      return settled >= wanted && workers.of('leased').length > settled;
    };
    await eventually('acknowledgements are under way', areUnderWay, LONG_MS);
    await Promise.all(stage.nodes.map(({ process }) => process.kill('SIGKILL')));
    await Promise.all(stage.nodes.map(({ process }) => process.restart()));
  }
  await eventually('nothing is left', () => isEmpty(client), LONG_MS);
  await workers.stop();

  const letters: DeadLetter[] = [];
  for await (const letter of client.admin.deadLetters(TOPIC).all()) letters.push(letter);
  const told = { published, lines: workers.lines, letters, leaseMs: LEASE_MS };
  // What was leased when the nodes died, and what was answered to nobody.
  const maxUnseen = MAX_LEASED * WORKERS * (KILLS + 1);
  expect(checkQueue({ ...told, maxAttempts: MAX_ATTEMPTS, maxUnseen })).toEqual([]);
  expect(workers.failures).toEqual([]);
  // Else nothing was tried.
  expect(workers.of('settled').filter(({ code }) => code === 'TIMEOUT')).not.toEqual([]);
});

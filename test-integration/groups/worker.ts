/**
 * A consumer as a process: `node worker.ts TASK`, which is JSON. It writes the effect of each record before it acknowledges it, and then
 * what came of that. SIGTERM ends it in order.
 */
import { openSync, writeSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { Client, Job, ReceivedRecord } from '../../src/client/index.ts';
import { connect, SluiceError } from '../../src/client/index.ts';
import { IMPATIENT } from '../support/workload/workload.ts';
import type { JournalLine, Taken, WorkerTask } from './worker-task.ts';
import { nowMs, POISON } from './worker-task.ts';

type DistributiveOmit<T, K extends string> = T extends unknown ? Omit<T, K> : never;

const RECEIVE_WAIT_MS = 500;
const task = JSON.parse(process.argv[2]!) as WorkerTask;
const journal = openSync(task.journal, 'a');
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
// Whoever started it has gone, and cannot end it any more.
process.stdin.once('end', () => process.kill(process.pid, 'SIGKILL')).resume();

const client = await connect(task.urls, {
  ...{ ca: task.ca, clientId: task.name, timeoutMs: 60_000, attemptTimeoutMs: 1000, limits: IMPATIENT },
  reconnect: { maxDelayMs: 250 },
  ...(task.requestTimeoutMs === undefined ? {} : { requestTimeoutMs: task.requestTimeoutMs }),
});
if (task.kind === 'queue') await consumeQueue(client);
else await consumeGroup(client);
await client.close({ timeoutMs: 1000 });
process.stdin.destroy();

function note(line: DistributiveOmit<JournalLine, 'worker' | 'atMs'>): void {
  writeSync(journal, `${JSON.stringify({ worker: task.name, atMs: nowMs(), ...line })}\n`);
}

async function consumeQueue(at: Client): Promise<void> {
  await using queue = at.queue(task.topic, { group: task.group });
  while (!stop.signal.aborted) {
    const askedMs = nowMs();
    const jobs = await receive();
    for (const job of jobs) note({ event: 'leased', askedMs, leaseMs: job.leaseMs, ...takenAs(job) });
    if (task.atOnce === true) await Promise.all(jobs.map((job) => work(job)));
    else for (const job of jobs) await work(job);
  }

  async function receive(): Promise<Job[]> {
    try {
      return await queue.receive({ max: task.max ?? 8, waitMs: RECEIVE_WAIT_MS });
    } catch (error) {
      if (error instanceof SluiceError && error.retryable) return [];
      throw error;
    }
  }
}

async function work(job: Job): Promise<void> {
  const taken = takenAs(job);
  const how = taken.value.startsWith(POISON) ? 'nack' : 'ack';
  if (how === 'ack') note({ event: 'effect', ...taken });
  if (task.workMs) await pause(task.workMs);
  await settle(how, taken, () => (how === 'ack' ? job.ack() : job.nack({ reason: 'poison' })));
}

async function consumeGroup(at: Client): Promise<void> {
  const { topic, sessionTimeoutMs = 10_000, commit: how = 'each' } = task;
  const commit = how === 'each' ? 'manual' : 'auto';
  const options = { topics: [topic], from: 'earliest', commit, sessionTimeoutMs } as const;
  await using member = at.group(task.group, options);
  member.on('assigned', ({ partitions }) => note({ event: 'assigned', partitions }));
  member.on('revoked', ({ partitions, lost }) => note({ event: 'revoked', partitions, lost }));
  stop.signal.addEventListener('abort', () => void member.close());
  for await (const record of member) {
    const taken = placed(record);
    note({ event: 'effect', ...taken });
    if (task.workMs) await pause(task.workMs);
    if (how === 'each') await settle('commit', taken, () => member.commit(record));
  }
}

async function settle(how: 'ack' | 'nack' | 'commit', taken: Taken, ask: () => Promise<void>): Promise<void> {
  try {
    await ask();
    note({ event: 'settled', how, ...taken });
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    note({ event: 'settled', how, code: error.code, ...taken });
  }
}

function takenAs({ record, attempt, token }: Job): Taken {
  return { ...placed(record), attempt, token };
}

function placed(record: ReceivedRecord): Taken {
  return { partition: record.partition, offset: record.offset, value: record.text() };
}

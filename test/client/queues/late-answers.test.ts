/** Answers that are long on their way: a lease lasts from the time it was given, not from the time it was heard of. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Job } from '../../../src/client/queues/job.ts';
import type { Queue } from '../../../src/client/queues/queue.ts';
import { turns } from '../../support/turns.ts';
import { QueueStage } from './queue-stage.ts';

const LEASE_MS = 3000;
const LATE_MS = 2000;

let stage: QueueStage;
beforeEach(async () => {
  stage = await QueueStage.open();
});
afterEach(() => stage[Symbol.asyncDispose]());

/** @param waitedMs of the {@link LATE_MS} until the answer, those that the question waited at the coordinator */
async function late(queue: Queue, waitedMs: number): Promise<Job> {
  const receiving = queue.receive({ waitMs: 30_000 });
  await turns(4);
  await stage.broker.pass(LATE_MS);
  stage.waitedMs = waitedMs;
  await stage.lease({ values: ['a'], leaseMs: LEASE_MS });
  const [job] = await receiving;
  return job!;
}

/** The answer of an acknowledgement is lost, and asked again it finds no lease. @returns the code that it fails with */
async function repeatedAck(job: Job): Promise<string | undefined> {
  // The client that was late has next to nothing left.
  await stage.broker.pass(LEASE_MS - LATE_MS - 10);
  return stage.repeatedAck(job, 1500);
}

describe('a lease', () => {
  it('is over that long after it was given, however long its answer took', async () => {
    const job = await late(await stage.queue(), 0);
    expect(job.leaseLeftMs).toBe(LEASE_MS - LATE_MS);
  });

  it('is not shorter for the time that its question waited for records', async () => {
    const job = await late(await stage.queue(), LATE_MS);
    expect(job.leaseLeftMs).toBe(LEASE_MS);
  });

  it('does not begin in the future, whatever the broker says that it waited', async () => {
    const job = await late(await stage.queue(), 10 * LATE_MS);
    expect(job.leaseLeftMs).toBe(LEASE_MS);
  });
});

describe('an acknowledgement whose repetition finds the lease gone', () => {
  it('fails where somebody else may have the record, because the answer with the lease was late', async () => {
    expect(await repeatedAck(await late(await stage.queue(), 0))).toBe('LEASE_EXPIRED');
  });

  it('succeeds where nobody can have it yet', async () => {
    expect(await repeatedAck(await late(await stage.queue(), LATE_MS))).toBeUndefined();
  });

  it('fails where the lease was made shorter meanwhile', async () => {
    const job = await late(await stage.queue(), LATE_MS);
    await job.extend(100);
    expect(await repeatedAck(job)).toBe('LEASE_EXPIRED');
  });
});

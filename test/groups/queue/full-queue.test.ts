/** A queue of which as much is remembered as may be: what its consumers get, and what they are told. */
import { create } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { SettleRequestSchema, SettlementKind } from '../../../src/gen/sluice/client/v1/groups_pb.ts';
import { errorCodeFromWire } from '../../../src/kernel/errors.ts';
import { FakeTopics } from './fake-topics.ts';
import { codeOf, QueueStage } from './queue-stage.ts';

/** The first records are in batches of so many: a run of 256 is in several. */
const SMALL_BATCH = 100;
/** So many are left as they were leased. */
const HEAD = 1200;
const BATCH = 10_000;
const BATCHES = 37;

type Range = readonly [number, number];

/** @returns the codes of what is refused */
async function settle(stage: QueueStage, grant: number, kind: SettlementKind, ranges: readonly Range[]) {
  const settlements = ranges.map(([first, end]) => ({
    ...{ partition: 0, grant: BigInt(grant), first: BigInt(first), end: BigInt(end), kind },
    delayMs: 3_600_000 + first * 1000,
  }));
  const request = create(SettleRequestSchema, { topic: 'jobs', settlements });
  const { results = [] } = await stage.ask('settle', request);
  return results.flatMap(({ errorCode = 0 }) => (errorCode === 0 ? [] : [errorCodeFromWire(errorCode)]));
}

function singles(from: number, count: number, step: number): Range[] {
  return Array.from({ length: count / step }, (_, n) => [from + n * step, from + n * step + 1]);
}

/** Its head is leased as a whole; the rest is cut until nothing is cut any more. */
async function fullQueue(): Promise<{ stage: QueueStage; grant: number }> {
  const topics = new FakeTopics().make('jobs');
  for (let n = 0; n < HEAD; n += SMALL_BATCH) topics.put('jobs', SMALL_BATCH);
  for (let n = 0; n < BATCHES; n++) topics.put('jobs', BATCH);
  const stage = new QueueStage(topics);
  await stage.configure({ leaseMs: 12 * 3_600_000, maxAttempts: 0 });
  const { jobs } = await stage.receive({ maxRecords: HEAD });
  const refused = new Set<string>();
  const grants: number[] = [];
  for (let n = 0; n < BATCHES; n++) grants.push((await stage.receive({ maxRecords: BATCH })).jobs[0]!.grant);
  for (const [n, grant] of grants.entries()) {
    const first = HEAD + n * BATCH;
    for (const code of await settle(stage, grant, SettlementKind.NACK, singles(first, BATCH, 1)))
      refused.add(code);
    // Where it was refused they are leased still.
    if (refused.size > 0) await settle(stage, grant, SettlementKind.ACK, singles(first + 1, BATCH, 2));
  }
  expect([...refused]).toEqual(['OVERLOADED']);
  return { stage, grant: jobs[0]!.grant };
}

it('leases and settles whole runs only, and goes on when there is room', async () => {
  const { stage, grant } = await fullQueue();
  expect(await settle(stage, grant, SettlementKind.RELEASE, [[3, 4]])).toEqual(['OVERLOADED']);
  expect(await settle(stage, grant, SettlementKind.ACK, [[3, 4]])).toEqual(['OVERLOADED']);
  expect(await settle(stage, grant, SettlementKind.RELEASE, [[0, 512]])).toEqual([]);
  const middle = [{ partition: 0, first: 300n, end: 301n }] as never;
  expect(await codeOf(stage.discard({ ranges: middle }))).toBe('OVERLOADED');
  expect(await codeOf(stage.move({ ranges: middle, destination: 'other' }))).toBe('OVERLOADED');
  expect(await stage.counted()).toMatchObject({ ready: 512 });

  expect((await stage.receive({ maxRecords: 1 })).jobs).toEqual([]);
  const batchBytes = stage.topics.log('jobs').batches[0]!.length;
  expect((await stage.receive({ maxRecords: 300, maxBytes: batchBytes * 2 })).jobs).toEqual([]);
  expect(await stage.counted()).toMatchObject({ ready: 512 });
  const { jobs } = await stage.receive({ maxRecords: 300 });
  expect(jobs.map(({ offset }) => offset)).toEqual(Array.from({ length: 256 }, (_, at) => at));
  expect(new Set(await stage.settle('ACK', jobs))).toEqual(new Set([undefined]));

  expect((await stage.receive({ maxRecords: 1 })).jobs.map(({ offset }) => offset)).toEqual([256]);
});

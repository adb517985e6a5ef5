/**
 * The state of one partition of a queue: nanoseconds per record of grants, acknowledgements and expiry, with and without what is stored of them, and
 * what leases in flight cost in memory. Median of five; time of the thread, so that a busy machine says the same.
 *
 *     node --expose-gc bench/micro/lease-table.ts
 */
import { QueueJournal, QueueJournalLoader } from '../../src/groups/queue/queue-journal.ts';
import { QueuePartition } from '../../src/groups/queue/queue-partition.ts';
import { encodeSnapshot } from '../../src/groups/queue/queue-snapshot-codec.ts';
import type { Moment, OffsetRun } from '../../src/groups/queue/queue-event.ts';

const RECORDS = 1_000_000;
const IN_FLIGHT = 100_000;
const RUNS = 5;
const SETTINGS = { maxAttempts: 5, backoffMs: 1000, maxBackoffMs: 60_000 };
const LEASE_MS = 30_000;
const now: Moment = { wallMs: 1_700_000_000_000, steadyMs: 1000 };

/** 100,000 indices, in order and not. */
const orders = [Uint32Array.from({ length: IN_FLIGHT }, (_, index) => index), shuffled(IN_FLIGHT)] as const;

function open(): QueueJournal {
  return new QueueJournal('q/jobs/default/0', new QueuePartition(0, SETTINGS));
}

/** Leases the next `records`, `perGrant` at a time. @returns the grant of each record */
function lease(partition: QueuePartition, records: number, perGrant: number): Float64Array {
  const first = partition.cursor;
  const grants = new Float64Array(records);
  for (let offset = first; offset < first + records; offset += perGrant) {
    partition.offer(offset, offset + perGrant);
    const { grant } = partition.grant(partition.take(perGrant, now), LEASE_MS, now);
    grants.fill(grant, offset - first, offset - first + perGrant);
  }
  return grants;
}

function shuffled(count: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  for (let index = count - 1; index > 0; index--) {
    const other = Math.floor(Math.random() * (index + 1));
    [order[index], order[other]] = [order[other]!, order[index]!];
  }
  return order;
}

function report(bench: string, records: number, run: () => void, more: object = {}): void {
  const samples = Array.from({ length: RUNS }, () => {
    const started = process.threadCpuUsage();
    run();
    const { user, system } = process.threadCpuUsage(started);
    return Math.round(((user + system) * 1000) / records);
  }).sort((a, b) => a - b);
  console.log(
    JSON.stringify({ bench, ...more, ns: samples[RUNS >> 1], min: samples[0], max: samples[RUNS - 1] }),
  );
}

/** Stores what changed after each `records` of them, as a turn of the coordinator does. */
function storing(journal: QueueJournal, every: number): () => void {
  let commands = 0;
  return () => {
    if (++commands % every === 0) journal.changes();
  };
}

/** With 100,000 in flight at a time, acknowledged in order or not. */
function grantAndAck(perGrant: number, atRandom: boolean, storedEvery: number): void {
  const journal = open();
  const { partition } = journal;
  const store = storedEvery > 0 ? storing(journal, storedEvery) : () => undefined;
  const order = orders[atRandom ? 1 : 0];
  for (let done = 0; done < RECORDS; done += IN_FLIGHT) {
    const grants = lease(partition, IN_FLIGHT, perGrant);
    for (const index of order) {
      partition.ack(grants[index]!, done + index, done + index + 1);
      store();
    }
    partition.drainEvents();
  }
  if (partition.floor !== RECORDS) throw new Error(`${RECORDS - partition.floor} records are left`);
}

/** All leases, each a grant of its own, end at once; then all are granted again and fail again, until they are dead. */
function expireAll(): void {
  const partition = open().partition;
  lease(partition, IN_FLIGHT, 1);
  let { wallMs, steadyMs } = now;
  for (let attempt = 1; attempt <= SETTINGS.maxAttempts; attempt++) {
    wallMs += 100_000;
    steadyMs += 100_000;
    if (partition.expire({ wallMs, steadyMs }) !== IN_FLIGHT) throw new Error('leases are left');
    wallMs += 100_000;
    const at = { wallMs, steadyMs };
    for (;;) {
      const runs: OffsetRun[] = partition.take(1, at);
      if (runs.length === 0) break;
      partition.grant(runs, LEASE_MS, at);
    }
    partition.drainEvents();
  }
  if (partition.takeDead(IN_FLIGHT).length === 0) throw new Error('none is dead');
}

/** Extends each lease by itself, at random. */
function extendAll(partition: QueuePartition, grants: Float64Array): void {
  for (const index of orders[1]) {
    const at = { ...now, steadyMs: now.steadyMs + (index % 977) };
    partition.extend(grants[index]!, index, index + 1, LEASE_MS, at);
  }
  partition.drainEvents();
}

function reload(stored: Buffer): QueueJournal {
  const loader = new QueueJournalLoader('q/jobs/default/0');
  loader.load('s', stored);
  return loader.finish(SETTINGS)!;
}

function settledMemory(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

for (const perGrant of [1, 100, 1000]) {
  report('grant+ack, one by one, in order', RECORDS, () => grantAndAck(perGrant, false, 0), { perGrant });
}
report('grant+ack, one by one, in order, stored', RECORDS, () => grantAndAck(1000, false, 100), {
  ...{ perGrant: 1000, stored: 'each 100 acks' },
});
for (const perGrant of [1, 1000]) {
  report('grant+ack, one by one, at random', RECORDS, () => grantAndAck(perGrant, true, 0), { perGrant });
}
report('grant+ack, one by one, at random, stored', RECORDS, () => grantAndAck(1000, true, 100), {
  ...{ perGrant: 1000, stored: 'each 100 acks' },
});
report('grant and expiry', IN_FLIGHT * SETTINGS.maxAttempts, expireAll, { perGrant: 1, inFlight: IN_FLIGHT });

const before = settledMemory();
const inFlight = open();
const grants = lease(inFlight.partition, IN_FLIGHT, 1);
const [snapshot] = inFlight.changes();
const bytes = Math.round((settledMemory() - before - snapshot!.value!.length) / IN_FLIGHT);
console.log(
  JSON.stringify({
    ...{ bench: 'lease in flight', bytes, counted: Math.round(inFlight.partition.heldBytes / IN_FLIGHT) },
    snapshotBytes: snapshot!.value!.length,
  }),
);
report('extension', IN_FLIGHT, () => extendAll(inFlight.partition, grants), { inFlight: IN_FLIGHT });
report(
  'snapshot',
  IN_FLIGHT,
  () => encodeSnapshot({ number: 1, snapshot: inFlight.partition.capture() }, 0),
  {
    inFlight: IN_FLIGHT,
  },
);
report('restore', IN_FLIGHT, () => reload(snapshot!.value!), { inFlight: IN_FLIGHT });

/** What is stored of a queue fits the batches of `__groups`, whatever was asked for and however much there is to remember. */
import { describe, expect, it } from 'vitest';
import type { StateRecord } from '../../../src/groups/ports.ts';
import { QueueJournal, QueueJournalLoader } from '../../../src/groups/queue/queue-journal.ts';
import { QueuePartition } from '../../../src/groups/queue/queue-partition.ts';

const MiB = 1024 * 1024;
/** Far less than the 16 MiB of a batch. */
const RECORD_MAX_BYTES = 5 * MiB;
const PREFIX = 'q/jobs/default/0';
const SETTINGS = { maxAttempts: 0, backoffMs: 100, maxBackoffMs: 100 };
const LEASE_MS = 43_200_000;
const now = { wallMs: 1_700_000_000_000, steadyMs: 0 };

function open(): QueueJournal {
  return new QueueJournal(PREFIX, new QueuePartition(0, SETTINGS, 2 ** 52));
}

/** New records, each a run of its own and as long as one can be where it is stored. */
function fill({ partition }: QueueJournal, runs: number): void {
  const first = partition.cursor;
  const records = Array.from({ length: runs }, (_, at) => ({
    ...{ offset: first + at * 300, keyHash: 2 ** 32 - 1 - at, expiresAtMs: now.wallMs + 1e6 + at },
  }));
  partition.offerEach(first + runs * 300, records);
  partition.grant(partition.take(runs, now), LEASE_MS, now);
}

function load(records: Iterable<StateRecord>): QueueJournal | undefined {
  const loader = new QueueJournalLoader(PREFIX);
  for (const { key, value } of records) loader.load(key.slice(PREFIX.length + 1), value);
  return loader.finish(SETTINGS);
}

/** What a compacted log keeps, in its order. */
function compacted(records: readonly StateRecord[]): StateRecord[] {
  const last = new Map(records.map((record) => [record.key, record]));
  return [...last.values()].filter(({ value }) => value !== null);
}

function largest(records: readonly StateRecord[]): number {
  return Math.max(...records.map(({ value }) => value?.length ?? 0));
}

it('what very many settlements have changed is no longer than the state', () => {
  const journal = open();
  const { partition } = journal;
  partition.offer(0, 10_000);
  const { grant } = partition.grant(partition.take(10_000, now), LEASE_MS, now);
  const stored = journal.changes();
  for (let n = 0; n < 400_000; n++) {
    const offset = n % 10_000;
    partition.extend(grant, offset, offset + 1, LEASE_MS - 1 - n, now);
  }
  stored.push(...journal.changes());
  expect(largest(stored)).toBeLessThan(RECORD_MAX_BYTES);
  expect(load(stored)!.partition.capture()).toEqual(partition.capture());
});

describe('a snapshot of very many runs', () => {
  it('is stored in parts, each of which fits', () => {
    const journal = open();
    fill(journal, 100_000);
    journal.partition.reject(2 ** 52, 0, 1, '\u4e00'.repeat(MiB));
    const stored = journal.changes();
    expect(stored.map(({ key }) => key.slice(PREFIX.length + 1))).toEqual([
      'sa0',
      'sa1',
      'sa2',
      'sa3',
      'sa4',
      'sa5',
      's',
    ]);
    expect(largest(stored)).toBeLessThan(RECORD_MAX_BYTES);
    expect(load(stored)!.partition.capture()).toEqual(journal.partition.capture());
  });

  it('is not believed before it is whole: until then there is the one before, with all that came after that', () => {
    const log: StateRecord[] = [];
    let journal = open();
    for (let leader = 0; leader < 3; leader++) {
      fill(journal, leader === 0 ? 33_000 : 1);
      log.push(...journal.changes());
      fill(journal, 1);
      log.push(...journal.changes());
      const before = journal.partition.capture();
      journal = load(compacted(log))!;
      fill(journal, 1);
      const next = journal.changes();
      expect(next.length).toBeGreaterThan(2);
      for (const kept of [1, next.length - 1]) {
        const crashed = load(compacted([...log, ...next.slice(0, kept)]))!;
        expect(crashed.partition.capture()).toEqual(before);
      }
      // What a leader has begun is in the way of none.
      log.push(...next.slice(0, leader + 1));
      journal = load(compacted(log))!;
    }
  });

  it('leaves nothing behind: not when the state is small again, nor when it is erased', () => {
    const log: StateRecord[] = [];
    let journal = open();
    const change = (change: () => void): string[] => {
      change();
      log.push(...journal.changes());
      journal = load(compacted(log))!;
      return compacted(log).map(({ key }) => key.slice(PREFIX.length + 1));
    };
    for (let n = 0; n < 2; n++) change(() => fill(journal, 20_000));
    change(() => {
      const { partition } = journal;
      for (const { grant, first, end } of partition.capture().runs) partition.ack(grant, first, end);
      partition.discard(0, partition.cursor);
    });
    expect(change(() => fill(journal, 1))).toEqual(['s']);
    change(() => fill(journal, 20_000));
    log.push(...journal.erase());
    expect(compacted(log)).toEqual([]);
  });

  it('without one of its parts it was damaged', () => {
    const journal = open();
    fill(journal, 40_000);
    const [first, second, head] = journal.changes();
    expect(() => load([second!, head!])).toThrow(expect.objectContaining({ code: 'CORRUPT_LOG' }));
    fill(journal, 60_000);
    const [other] = journal.changes();
    const mixed = { key: first!.key, value: other!.value };
    expect(() => load([mixed, second!, head!])).toThrow(expect.objectContaining({ code: 'CORRUPT_LOG' }));
  });
});

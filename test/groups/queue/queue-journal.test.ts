import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StateRecord } from '../../../src/groups/ports.ts';
import { encodeDelta } from '../../../src/groups/queue/queue-delta-codec.ts';
import type { MoveIntent, QueueEvent } from '../../../src/groups/queue/queue-event.ts';
import { QueueJournal, QueueJournalLoader } from '../../../src/groups/queue/queue-journal.ts';
import { QueuePartition } from '../../../src/groups/queue/queue-partition.ts';
import { encodeSnapshot } from '../../../src/groups/queue/queue-snapshot-codec.ts';
import { SluiceError } from '../../../src/kernel/errors.ts';

const PREFIX = 'q/jobs/default/3';
const SETTINGS = { maxAttempts: 3, backoffMs: 100, maxBackoffMs: 250 };
const now = { wallMs: 1_700_000_000_000, steadyMs: 0 };
const MOVE: MoveIntent = {
  ...{
    kind: 'replay',
    topic: 'jobs',
    partition: 2,
    producerId: 4_294_967_301,
    sequence: 6,
    atMs: now.wallMs,
  },
  runs: [
    { first: 7, end: 8 },
    { first: 9, end: 11 },
  ],
};

function open(): QueueJournal {
  return new QueueJournal(PREFIX, new QueuePartition(0, SETTINGS));
}

function load(records: Iterable<StateRecord>): QueueJournal | undefined {
  const loader = new QueueJournalLoader(PREFIX);
  for (const { key, value } of records) loader.load(key.slice(PREFIX.length + 1), value);
  return loader.finish(SETTINGS);
}

/** What a compacted log keeps, in its order. */
class CompactedLog {
  readonly records = new Map<string, StateRecord>();

  append(records: readonly StateRecord[]): void {
    for (const record of records) {
      this.records.delete(record.key);
      if (record.value) this.records.set(record.key, record);
    }
  }
}

/** Leases the next record, and acknowledges it later. */
function work({ partition }: QueueJournal): void {
  partition.offer(partition.cursor, partition.cursor + 1);
  const { grant, leases } = partition.grant(partition.take(1, now), 1000, now);
  if (grant % 3 === 0) partition.ack(grant, leases[0]!.first, leases[0]!.end);
}

function codeOf(act: () => unknown): string | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    return error instanceof SluiceError ? error.code : String(error);
  }
}

describe('what is stored of a partition of a queue', () => {
  it('has the bytes that it always had, event by event', () => {
    const events: QueueEvent[] = [
      { kind: 'advanced', cursor: 5 },
      { kind: 'offered', first: 5, end: 300 },
      {
        ...{ kind: 'offered-each', end: 304 },
        records: [
          { offset: 301, keyHash: 0xffff_ffff },
          { offset: 302, availableAtMs: now.wallMs, expiresAtMs: 1 },
        ],
      },
      {
        kind: 'granted',
        grant: 1,
        leaseMs: 30_000,
        runs: [
          { first: 5, end: 7 },
          { first: 9, end: 2 ** 26 + 10 },
        ],
      },
      {
        kind: 'done',
        runs: [
          { first: 6, end: 7 },
          { first: 5, end: 6 },
          { first: 2 ** 40, end: 2 ** 40 + 1 },
        ],
      },
      { kind: 'retried', runs: [{ first: 9, end: 10 }], availableAtMs: now.wallMs, released: true },
      { kind: 'extended', runs: [{ first: 9, end: 10 }], leaseMs: 60_000 },
      { kind: 'died', runs: [{ first: 9, end: 10 }], reason: 'rejected', text: 'no' },
      { kind: 'move-begun', move: { ...MOVE, id: 3 } },
      { kind: 'move-done', id: 3 },
      { kind: 'move-cancelled', id: 4 },
    ];
    const bytes = events.map((event) => encodeDelta({ number: 2, events: [event] }).toString('hex'));
    expect(bytes).toMatchInlineSnapshot(`
      [
        "080212040a020805",
        "080212071205080510ac02",
        "080212431a4108b002120608ad021201021a10000000000000000000008056febc784222100000000000000000000000000000f03f2a10000000000000f0410000000000000000",
        "080212162214080110b0ea011a0c080512080202808080200001",
        "080212152a130a0508051201020a0a08808080808020120101",
        "0802121432120a0508091201011100008056febc78421801",
        "0802120d3a0b0a05080912010110e0d403",
        "0802120f420d0a05080912010110021a026e6f",
        "080212284a26080310021a046a6f62732002288580808010300c3900008056febc7842420708071203010102",
        "0802120452020803",
        "080212045a020804",
      ]
    `);
  });

  it('has the bytes that it always had, as a snapshot', () => {
    const journal = open();
    const { partition } = journal;
    partition.offer(0, 12);
    partition.offerEach(14, [
      { offset: 12, keyHash: 5 },
      { offset: 13, keyHash: 5, expiresAtMs: 99 },
    ]);
    const { grant } = partition.grant(partition.take(8, now), 30_000, now);
    partition.ack(grant, 0, 2);
    partition.nack(grant, 3, 4, now);
    partition.reject(grant, 5, 6, 'no');
    partition.beginMove({ ...MOVE, runs: [{ first: 9, end: 11 }] });
    partition.drainEvents();
    const { parts, head } = encodeSnapshot({ number: 1, snapshot: partition.capture() }, 1);
    expect(parts).toEqual([]);
    expect(head.toString('hex')).toMatchInlineSnapshot(
      `"0801100e180220022a24080110021a046a6f62732002288580808010300c3900008056febc784242050809120102329b030a170802121301000100010001000200010002000100010001120a010101010100000000001a50000000000000f03f0000000000000000000000000000f03f0000000000000000000000000000f03f000000000000000000000000000000000000000000000000000000000000000000000000000000002210b0ea0100b0ea0100b0ea0100000000002a50000000000000000000408656febc78420000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000032500000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000c058403a500000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000018400000000000001840420a000000020000000000004a0a0000000100000000000052026e6f"`,
    );
  });

  it('begins with a snapshot, and goes on with what has changed', () => {
    const journal = open();
    const names = [0, 1, 2].map(() => {
      work(journal);
      return journal.changes().map(({ key }) => key);
    });
    expect(names).toEqual([[`${PREFIX}/s`], [`${PREFIX}/b0`], [`${PREFIX}/b1`]]);
    expect(journal.changes()).toEqual([]);
  });

  it('is the state again, after any number of changes, restarts and compactions, and needs few keys', () => {
    const log = new CompactedLog();
    let journal = open();
    for (let turn = 1; turn <= 3000; turn++) {
      work(journal);
      log.append(journal.changes());
      if (turn % 250 === 0) {
        const loaded = load(log.records.values())!;
        expect(loaded.partition.capture()).toEqual(journal.partition.capture());
        if (turn % 1000 === 0) journal = loaded;
      }
      if (turn % 400 === 0) journal.partition.discard(0, turn);
    }
    const bytes = [...log.records.values()].reduce((sum, { value }) => sum + value!.length, 0);
    expect(bytes).toBeLessThan(400_000);
  });

  it('outlives a snapshot that was not stored, though later changes were', () => {
    const log = new CompactedLog();
    const journal = open();
    let snapshots = 0;
    for (let turn = 1; turn <= 2000; turn++) {
      work(journal);
      if (turn % 50 === 0) journal.partition.discard(0, turn);
      const changes = journal.changes();
      if (changes[0]!.key.endsWith('/s') && ++snapshots > 1) {
        const before = journal.partition.capture();
        work(journal);
        log.append(journal.changes());
        const loaded = load(log.records.values())!;
        expect(loaded.partition.cursor).toBe(before.cursor - 1);
        break;
      }
      log.append(changes);
    }
    expect(snapshots).toBe(2);
  });

  it('is not taken from where a former leader’s changes were never answered', () => {
    const log = new CompactedLog();
    const journal = open();
    const stored = [0, 1, 2, 3].map(() => {
      work(journal);
      return journal.changes();
    });
    for (const turn of [0, 1, 3]) log.append(stored[turn]!);
    const second = load(log.records.values())!;
    expect(second.partition.cursor).toBe(2);
    work(second);
    log.append(second.changes());
    expect(load(log.records.values())!.partition.capture()).toEqual(second.partition.capture());
  });

  it('is forgotten, all of it', () => {
    const log = new CompactedLog();
    let journal = open();
    for (let turn = 0; turn < 1000; turn++) {
      work(journal);
      journal.partition.discard(0, turn);
      log.append(journal.changes());
      if (turn === 500) journal = load(log.records.values())!;
    }
    log.append(journal.erase());
    expect([...log.records.keys()]).toEqual([]);
    expect(load(log.records.values())).toBeUndefined();
  });

  it('is refused with a code where it was damaged', () => {
    const log = new CompactedLog();
    const journal = open();
    for (let turn = 0; turn < 9; turn++) {
      work(journal);
      log.append(journal.changes());
    }
    const long = encodeDelta({ number: 2, events: [{ kind: 'offered', first: 9, end: 2 ** 50 }] });
    for (const record of [
      { key: `${PREFIX}/x1`, value: Buffer.alloc(0) },
      { key: `${PREFIX}/b0`, value: long },
    ]) {
      expect(codeOf(() => load([...log.records.values(), record]))).toBe('CORRUPT_LOG');
    }
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.nat(255), fc.boolean(), (pick, at, byte, isCut) => {
        const records = [...log.records.values()];
        const { key, value } = records[pick % records.length]!;
        const damaged = Buffer.from(isCut ? value!.subarray(0, at % value!.length) : value!);
        if (!isCut) damaged[at % damaged.length] = byte;
        records[pick % records.length] = { key, value: damaged };
        expect(codeOf(() => load(records)) ?? 'CORRUPT_LOG').toBe('CORRUPT_LOG');
      }),
      { numRuns: 2000 },
    );
  });
});

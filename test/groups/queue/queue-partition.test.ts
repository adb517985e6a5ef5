import { describe, expect, it } from 'vitest';
import type { Moment, MoveIntent } from '../../../src/groups/queue/queue-event.ts';
import { QueuePartition, type RedeliverySettings } from '../../../src/groups/queue/queue-partition.ts';

const SETTINGS: RedeliverySettings = { maxAttempts: 3, backoffMs: 100, maxBackoffMs: 250 };
const LEASE_MS = 1000;

/** `ms` after the beginning, by both clocks. */
function at(ms: number): Moment {
  return { wallMs: 1_700_000_000_000 + ms, steadyMs: 77 + ms };
}

function offered(records: number, settings = SETTINGS): QueuePartition {
  const partition = new QueuePartition(0, settings);
  partition.offer(0, records);
  return partition;
}

/** Leases what is ready. */
function lease(partition: QueuePartition, max: number, now: Moment) {
  return partition.grant(partition.take(max, now), LEASE_MS, now);
}

describe('a new record', () => {
  it('is granted once, oldest first, under a grant that rises', () => {
    const partition = offered(5);
    expect(lease(partition, 3, at(0))).toEqual({ grant: 1, leases: [{ first: 0, end: 3, attempts: 1 }] });
    expect(lease(partition, 3, at(0))).toEqual({ grant: 2, leases: [{ first: 3, end: 5, attempts: 1 }] });
    expect(lease(partition, 3, at(0)).leases).toEqual([]);
  });

  it('is nobody else’s while its batch is read, and ready again when it is given back', () => {
    const partition = offered(2);
    expect(partition.take(1, at(0))).toEqual([{ first: 0, end: 1, attempts: 0 }]);
    expect(partition.take(5, at(0))).toEqual([{ first: 1, end: 2, attempts: 0 }]);
    partition.giveBack(0, 1);
    expect(partition.take(5, at(0))).toEqual([{ first: 0, end: 1, attempts: 0 }]);
  });

  it('is done where it does not exist', () => {
    const partition = new QueuePartition(10, SETTINGS);
    partition.offer(15, 17);
    expect([partition.floor, partition.cursor]).toEqual([15, 17]);
    partition.offerEach(30, [{ offset: 20 }, { offset: 21 }]);
    expect(partition.take(100, at(0))).toEqual([
      { first: 15, end: 17, attempts: 0 },
      { first: 20, end: 22, attempts: 0 },
    ]);
  });

  it('cannot be offered twice', () => {
    expect(() => offered(5).offer(4, 6)).toThrow(RangeError);
  });

  it('waits for its time, and is done once its time to live is over', () => {
    const partition = new QueuePartition(0, SETTINGS);
    partition.offerEach(2, [
      { offset: 0, availableAtMs: at(50).wallMs },
      { offset: 1, expiresAtMs: at(10).wallMs },
    ]);
    expect(partition.nextDueInMs(at(0))).toBe(50);
    expect(partition.take(5, at(10))).toEqual([]);
    expect(partition.counts(at(10))).toEqual({ ready: 0, delayed: 1, leased: 0, moving: 0 });
    expect(partition.take(5, at(50))).toEqual([{ first: 0, end: 1, attempts: 0 }]);
  });

  it('waits until the one before it of its key is done', () => {
    const partition = new QueuePartition(0, SETTINGS);
    partition.offerEach(3, [
      { offset: 0, keyHash: 1 },
      { offset: 1, keyHash: 1 },
      { offset: 2, keyHash: 0 },
    ]);
    const { grant } = lease(partition, 3, at(0));
    expect(partition.counts(at(0))).toMatchObject({ leased: 2, delayed: 1 });
    partition.nack(grant, 0, 1, at(0), 0);
    expect(partition.take(3, at(0))).toEqual([{ first: 0, end: 1, attempts: 1 }]);
    const again = partition.grant([{ first: 0, end: 1 }], LEASE_MS, at(0));
    partition.ack(again.grant, 0, 1);
    expect(partition.take(3, at(0))).toEqual([{ first: 1, end: 2, attempts: 0 }]);
  });
});

describe('a record behind another of its key', () => {
  function three(): QueuePartition {
    const partition = new QueuePartition(0, SETTINGS);
    const of = (offset: number) => ({ offset, keyHash: 1 });
    partition.offerEach(3, [of(0), of(1), of(2)]);
    return partition;
  }

  it('follows the one before that, when that is discarded', () => {
    const partition = three();
    const { grant } = lease(partition, 3, at(0));
    expect(partition.discard(1, 2)).toBe(1);
    partition.ack(grant, 0, 1);
    expect(partition.take(3, at(0))).toEqual([{ first: 2, end: 3, attempts: 0 }]);
  });

  it('is left where it is, when it is the next and somebody has it', () => {
    const partition = three();
    const { grant } = lease(partition, 3, at(0));
    partition.takeRange(1, 2);
    partition.ack(grant, 0, 1);
    expect(partition.take(3, at(0))).toEqual([]);
    partition.giveBack(1, 2);
    expect(partition.take(3, at(0))).toEqual([{ first: 1, end: 2, attempts: 0 }]);
  });
});

describe('a leased record', () => {
  it('is done when it is acknowledged, in whatever order', () => {
    const partition = offered(4);
    const { grant } = lease(partition, 4, at(0));
    expect(partition.ack(grant, 1, 3)).toBe(0);
    expect(partition.floor).toBe(0);
    expect(partition.ack(grant, 0, 1)).toBe(0);
    expect(partition.floor).toBe(3);
  });

  it('is not settled under another grant, nor twice; the rest of the range is', () => {
    const partition = offered(4);
    const { grant } = lease(partition, 4, at(0));
    partition.ack(grant, 1, 2);
    expect(partition.ack(grant + 1, 0, 4)).toBe(4);
    expect(partition.ack(grant, 0, 10)).toBe(7);
    expect(partition.floor).toBe(4);
  });

  it('comes again after a backoff that doubles up to its bound', () => {
    const partition = offered(1, { ...SETTINGS, maxAttempts: 0 });
    const waits = [1, 2, 3, 4].map(() => {
      const { grant, leases } = lease(partition, 1, at(0));
      partition.nack(grant, 0, 1, at(0));
      const wait = partition.nextDueInMs(at(0))!;
      partition.expire(at(wait));
      return [leases[0]!.attempts, wait];
    });
    expect(waits).toEqual([
      [1, 100],
      [2, 200],
      [3, 250],
      [4, 250],
    ]);
  });

  it('comes again when its lease ends, and the late answer changes nothing', () => {
    const partition = offered(1);
    const { grant } = lease(partition, 1, at(0));
    expect(partition.nextDueInMs(at(400))).toBe(600);
    expect(partition.expire(at(999))).toBe(0);
    expect(partition.expire(at(1000))).toBe(1);
    expect(partition.ack(grant, 0, 1)).toBe(1);
    expect(lease(partition, 1, at(1100)).leases).toEqual([{ first: 0, end: 1, attempts: 2 }]);
  });

  it('ends by the steady clock, wherever the wall clock jumps', () => {
    const partition = offered(1);
    lease(partition, 1, at(0));
    expect(partition.expire({ ...at(999), wallMs: at(1e9).wallMs })).toBe(0);
  });

  it('ends later when it is extended, or when its grant was answered later', () => {
    const partition = offered(2);
    const grant = lease(partition, 2, at(0));
    partition.extend(grant.grant, 1, 2, 5000, at(100));
    partition.answered({ grant: grant.grant, leases: [{ first: 0, end: 1, attempts: 1 }] }, at(300));
    expect(partition.nextDueInMs(at(300))).toBe(1000);
    expect(partition.expire(at(1300))).toBe(1);
    expect(partition.expire(at(5099))).toBe(0);
    expect(partition.expire(at(5100))).toBe(1);
  });

  it('is ready at once when it is released, and the attempt does not count', () => {
    const partition = offered(1);
    partition.release(lease(partition, 1, at(0)).grant, 0, 1);
    expect(lease(partition, 1, at(0)).leases).toEqual([{ first: 0, end: 1, attempts: 1 }]);
  });
});

describe('a dead letter', () => {
  const intent: MoveIntent = {
    ...{ kind: 'dead-letter', topic: 'dlq.t', partition: 0, producerId: 9, sequence: 0, atMs: 1 },
    runs: [{ first: 0, end: 1 }],
  };

  function rejected(): QueuePartition {
    const partition = offered(2);
    partition.reject(lease(partition, 1, at(0)).grant, 0, 1, 'broken');
    return partition;
  }

  it('is what failed as often as it may', () => {
    const partition = offered(1);
    for (const ms of [0, 1000, 2000]) {
      partition.nack(lease(partition, 1, at(ms)).grant, 0, 1, at(ms), 0, `no ${ms}`);
    }
    expect(partition.take(1, at(3000))).toEqual([]);
    expect(partition.takeDead(5)).toEqual([
      { first: 0, end: 1, attempts: 3, reason: 'max-attempts', text: 'no 2000' },
    ]);
  });

  it('is what was rejected, and holds the floor until it is moved', () => {
    const partition = rejected();
    expect(partition.takeDead(5)).toMatchObject([{ first: 0, reason: 'rejected', text: 'broken' }]);
    const move = partition.beginMove(intent)!;
    expect(partition.moves()).toEqual([{ ...intent, id: 1 }]);
    expect(partition.floor).toBe(0);
    partition.endMove(move.id);
    expect([partition.floor, partition.moves().length]).toEqual([1, 0]);
  });

  it('is one still when its move is cancelled', () => {
    const partition = rejected();
    partition.cancelMove(partition.beginMove(intent)!.id);
    expect(partition.takeDead(5)).toMatchObject([{ first: 0, attempts: 1, reason: 'rejected' }]);
  });

  it('moves once', () => {
    const partition = rejected();
    partition.beginMove(intent);
    expect(partition.beginMove(intent)).toBeUndefined();
    expect(partition.takeDead(5)).toEqual([]);
  });
});

describe('records that are gone', () => {
  it('are skipped, but for those of consumers', () => {
    const partition = offered(10);
    lease(partition, 2, at(0));
    expect(partition.skip(0, 15)).toBe(13);
    expect([partition.floor, partition.cursor]).toEqual([0, 15]);
    expect(partition.open(0, 100, at(0))).toMatchObject([{ first: 0, end: 2, state: 'leased' }]);
  });

  it('are discarded up to the cursor', () => {
    const partition = offered(10);
    expect(partition.discard(5, 20)).toBe(5);
    expect(partition.cursor).toBe(10);
    expect(partition.take(10, at(0))).toEqual([{ first: 0, end: 5, attempts: 0 }]);
  });
});

describe('a partition of a queue', () => {
  it('keeps apart what was delivered and what was not', () => {
    const partition = offered(2);
    partition.nack(lease(partition, 2, at(0)).grant, 1, 2, at(0), 0);
    const again = lease(partition, 1, at(0));
    partition.release(1, 0, 1);
    partition.release(again.grant, 1, 2);
    expect(partition.take(2, at(0))).toEqual([
      { first: 0, end: 1, attempts: 0 },
      { first: 1, end: 2, attempts: 1 },
    ]);
  });

  it('has an event for each time at which records of one turn come again', () => {
    const partition = offered(2);
    const { grant } = lease(partition, 2, at(0));
    partition.drainEvents();
    partition.nack(grant, 0, 1, at(0), 5);
    partition.nack(grant, 1, 2, at(0), 6);
    const [runs, released] = [[{ first: 0, end: 1 }], false];
    expect(partition.drainEvents()).toEqual([
      { kind: 'retried', runs, released, availableAtMs: at(5).wallMs },
      { kind: 'retried', runs: [{ first: 1, end: 2 }], released, availableAtMs: at(6).wallMs },
    ]);
  });

  it('passes over what an event says of records that are not leased', () => {
    const partition = offered(1);
    const before = partition.capture();
    const runs = [{ first: 0, end: 9 }];
    partition.apply({ kind: 'retried', runs, availableAtMs: 9, released: true });
    partition.apply({ kind: 'died', runs, reason: 'rejected', text: '' });
    partition.apply({ kind: 'extended', runs, leaseMs: 7 });
    partition.apply({ kind: 'move-done', id: 4 });
    expect(partition.capture()).toEqual(before);
  });

  it('holds neighbours that share their past together', () => {
    const partition = offered(1000);
    const { grant } = lease(partition, 1000, at(0));
    const leased = partition.heldBytes;
    for (let offset = 0; offset < 1000; offset++) partition.nack(grant, offset, offset + 1, at(0), 50);
    expect(partition.heldBytes).toBe(leased);
    expect(partition.drainEvents()).toHaveLength(4);
    for (let offset = 0; offset < 1000; offset++) partition.discard(offset, offset + 1);
    expect(partition.heldBytes).toBe(0);
  });

  it('counts the texts of dead letters as memory', () => {
    const partition = offered(1);
    const before = partition.heldBytes;
    partition.reject(lease(partition, 1, at(0)).grant, 0, 1, 'x'.repeat(1000));
    expect(partition.heldBytes).toBe(before + 1000);
    partition.discard(0, 1);
    expect(partition.heldBytes).toBe(0);
  });

  it('is not held up by a settlement of all offsets there can be', () => {
    const partition = offered(1);
    partition.offer(Number.MAX_SAFE_INTEGER - 5, Number.MAX_SAFE_INTEGER);
    const { grant } = lease(partition, 10, at(0));
    expect(partition.ack(grant, 0, Number.MAX_SAFE_INTEGER)).toBe(Number.MAX_SAFE_INTEGER - 6);
    expect(partition.floor).toBe(Number.MAX_SAFE_INTEGER);
  });
});

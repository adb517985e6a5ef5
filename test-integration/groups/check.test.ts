/** What the checks of journals find. */
import { describe, expect, it } from 'vitest';
import { checkGroup } from './check-group.ts';
import { checkQueue } from './check-queue.ts';
import type { JournalLine } from './worker-task.ts';

const LEASE_MS = 1000;

describe('the check of a queue', () => {
  const of = { partition: 0, offset: 0, value: 'good-0' };
  const leased = (worker: string, attempt: number, atMs: number): JournalLine => ({
    ...{ ...of, event: 'leased', worker, attempt, atMs, askedMs: atMs, leaseMs: LEASE_MS },
  });
  const effect = (worker: string, attempt: number): JournalLine => ({
    ...{ ...of, event: 'effect', worker, attempt, atMs: 0 },
  });
  const acknowledged = (worker: string, attempt: number, code?: string): JournalLine => ({
    ...{ ...of, event: 'settled', how: 'ack', worker, attempt, atMs: 0 },
    ...(code === undefined ? {} : { code }),
  });
  const check = (lines: readonly JournalLine[], maxUnseen = 0, published = ['good-0']) =>
    checkQueue({ published, lines, letters: [], leaseMs: LEASE_MS, maxAttempts: 3, maxUnseen });

  it('has nothing to say when a lease was over before the next, and was refused', () => {
    const first = [leased('a', 1, 0), effect('a', 1)];
    const second = [
      leased('b', 2, LEASE_MS),
      effect('b', 2),
      acknowledged('b', 2),
      acknowledged('a', 1, 'LEASE_EXPIRED'),
    ];
    expect(check([...first, ...second])).toEqual([]);
  });

  it('finds what is lost, leased to two, leased after it was done, and done twice', () => {
    expect(check([leased('a', 1, 0)])).toEqual(['good-0: lost']);
    const unfinished = [leased('a', 1, 0), effect('a', 1), leased('b', 2, LEASE_MS)];
    expect(check(unfinished)).toEqual(['good-0: lost']);
    expect(check([], 0, ['poison-1'])).toEqual(['poison-1: no dead letter', 'poison-1: lost']);
    const tooSoon = check([leased('a', 1, 0), leased('b', 2, LEASE_MS - 1), effect('b', 2)]);
    expect(tooSoon).toEqual(['good-0: leased to b while it was leased to a']);
    const twice = check([leased('a', 1, 0), leased('b', 1, LEASE_MS), effect('b', 1)], 9);
    expect(twice).toEqual(['good-0: attempt 1 was given to a and to b']);
    const done = [leased('a', 1, 0), effect('a', 1), acknowledged('a', 1), leased('b', 2, LEASE_MS)];
    expect(check(done)).toEqual(['good-0: leased to b after it was acknowledged']);
    expect(check([...done, acknowledged('b', 2)])).toContain('good-0: acknowledged 2 times');
  });

  it('finds attempts that nobody can have had', () => {
    const lines = [leased('a', 3, 0), effect('a', 3), acknowledged('a', 3)];
    expect(check(lines, 2)).toEqual([]);
    expect(check(lines, 1)).toEqual(['2 attempts were counted that nobody saw, not 1']);
  });
});

describe('the check of a group', () => {
  const line = (worker: string, event: 'effect' | 'settled', offset: number, code?: string): JournalLine =>
    ({
      ...{ worker, event, offset, partition: 0, value: '', atMs: 0 },
      ...(event === 'settled' ? { how: 'commit', ...(code === undefined ? {} : { code }) } : {}),
    }) as JournalLine;
  const done = (worker: string, offset: number) => [
    line(worker, 'effect', offset),
    line(worker, 'settled', offset),
  ];
  const check = (lines: readonly JournalLine[], count = 2) => checkGroup({ records: [count], lines });

  it('has nothing to say of what was not committed and comes again, nor of one who is told that he is too late', () => {
    expect(check([...done('a', 0), line('a', 'effect', 1), ...done('b', 1)])).toEqual([]);
    const late = [line('a', 'effect', 1), line('a', 'settled', 1, 'STALE_GENERATION')];
    expect(check([...done('a', 0), ...done('b', 1), ...late])).toEqual([]);
  });

  it('finds what is lost, out of order, repeated though it was committed, and refused for no reason', () => {
    expect(check(done('a', 0))).toEqual(['partition 0: 2 records, 1 read, 1 committed']);
    expect(check(done('a', 1))).toEqual(['partition 0: a went from 0 to 1']);
    const repeated = [...done('a', 0), ...done('a', 1), ...done('b', 0)];
    expect(check(repeated)).toEqual([
      'partition 0: b repeated 0, which was committed',
      'partition 0: b committed 0 again',
    ]);
    const refused = [
      ...done('a', 0),
      line('a', 'effect', 1),
      line('a', 'settled', 1, 'TIMEOUT'),
      ...done('a', 1),
    ];
    expect(check(refused)).toEqual(['partition 0: a had its commit refused with TIMEOUT']);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Moment, MoveIntent, OffsetRun, RecordDetails } from '../../../src/groups/queue/queue-event.ts';
import { QueueJournal, QueueJournalLoader } from '../../../src/groups/queue/queue-journal.ts';
import { QueuePartition, type OpenRun } from '../../../src/groups/queue/queue-partition.ts';
import { TERMS } from '../../../src/groups/term.ts';
import { checkSame } from '../../support/cheap-checks.ts';
import { NaivePartition } from './naive-partition.ts';

const SETTINGS = { maxAttempts: 3, backoffMs: 100, maxBackoffMs: 250 };
/** Just before the edge of a block of lots. */
const START = 1020;

/** A queue's partition and the plain one beside it: both do the same, and are looked at after each step. */
class Pair {
  journal = new QueueJournal('q/t/g/0', new QueuePartition(START, SETTINGS));
  naive = new NaivePartition(START, SETTINGS);
  /** What a compacted log holds of it. */
  readonly stored = new Map<string, Buffer>();
  #storedNaive = this.naive.copy();
  taken: OffsetRun[] = [];
  /** Numbers of the grants so far, also of those that a crash has lost. */
  readonly grants: number[] = [];
  /** Of who coordinates. */
  term = 0;

  constructor() {
    this.real.start(this.now, this.term);
    this.store();
  }

  get real(): QueuePartition {
    return this.journal.partition;
  }

  get now(): Moment {
    return { wallMs: this.naive.wallMs, steadyMs: this.naive.steadyMs };
  }

  store(): void {
    for (const { key, value } of this.journal.changes()) {
      this.stored.delete(key);
      if (value) this.stored.set(key, value);
    }
    this.#storedNaive = this.naive.copy();
  }

  /** The process ends here, and another reads what was stored. */
  crash(): void {
    const loader = new QueueJournalLoader('q/t/g/0');
    for (const [key, value] of this.stored) loader.load(key.slice('q/t/g/0/'.length), value);
    this.journal = loader.finish(SETTINGS)!;
    this.naive = this.#storedNaive.restarted(this.naive.wallMs, this.naive.steadyMs);
    this.real.start(this.now, ++this.term);
    this.taken = [];
  }

  check(): void {
    const { real, naive, now } = this;
    const counts = real.counts(now);
    expect(eachRecord(real.open(0, Infinity, now))).toEqual(naive.open());
    checkSame(real.floor, naive.floor, 'floor');
    checkSame(real.cursor, naive.cursor, 'cursor');
    checkSame(real.nextDueInMs(now), naive.nextDueInMs(), 'next due');
    checkSame(counts.leased, naive.open().filter(({ state }) => state === 'leased').length, 'leased');
    const open = counts.ready + counts.delayed + counts.leased + counts.moving;
    checkSame(open, naive.records.size, 'all open');
    expect(real.moves().map(({ id }) => id)).toEqual([...naive.moves.keys()]);
  }
}

interface Step {
  readonly act: (pair: Pair) => void;
}

/** Steps that say what they are when a run fails. */
function steps<A>(
  name: string,
  args: fc.Arbitrary<A>,
  act: (pair: Pair, args: A) => void,
): fc.Arbitrary<Step> {
  return args.map((given) => ({
    act: (pair) => act(pair, given),
    [fc.toStringMethod]: () => `${name} ${JSON.stringify(given)}`,
  }));
}

const length = fc.integer({ min: 1, max: 12 });
/** How far before the cursor, or behind it, something begins. */
const back = fc.integer({ min: -3, max: 50 });
const grantBack = fc.integer({ min: 1, max: 4 });
const delay = fc.option(fc.constantFrom(0, 90, 250, 999, 1000, 1030), { nil: undefined });
const details = fc.record({
  hole: fc.boolean(),
  keyHash: fc.option(fc.integer({ min: 0, max: 1 }), { nil: undefined, freq: 9 }),
  delayMs: fc.option(fc.integer({ min: 1, max: 400 }), { nil: undefined }),
  ttlMs: fc.option(fc.integer({ min: 1, max: 600 }), { nil: undefined }),
});

const offer = steps('offer', fc.tuple(length, fc.constantFrom(0, 0, 0, 7)), (pair, [count, hole]) => {
  const first = pair.naive.cursor + hole;
  const records = Array.from({ length: count }, (_, n) => ({ offset: first + n }));
  pair.real.offer(first, first + count);
  pair.naive.offerEach(first + count, records);
});

const offerEach = steps('offerEach', fc.array(details, { minLength: 1, maxLength: 8 }), (pair, all) => {
  const { cursor, wallMs } = pair.naive;
  const records: RecordDetails[] = [];
  for (const [n, { hole, keyHash, delayMs, ttlMs }] of all.entries()) {
    if (hole) continue;
    const availableAtMs = delayMs && wallMs + delayMs;
    records.push({ offset: cursor + n, keyHash, availableAtMs, expiresAtMs: ttlMs && wallMs + ttlMs });
  }
  pair.real.offerEach(cursor + all.length, records);
  pair.naive.offerEach(cursor + all.length, records);
});

const take = steps('take', fc.integer({ min: 1, max: 20 }), (pair, max) => {
  const runs = pair.real.take(max, pair.now);
  expect(offsets(runs)).toEqual(pair.naive.take(max));
  pair.taken.push(...runs);
});

const takeRange = steps('takeRange', fc.tuple(back, length), (pair, [from, count]) => {
  const first = pair.naive.cursor - from;
  const runs = pair.real.takeRange(first, first + count);
  expect(offsets(runs)).toEqual(pair.naive.takeRange(first, first + count));
});

const giveBack = steps('giveBack', fc.tuple(back, length), (pair, [from, count]) => {
  const first = pair.naive.cursor - from;
  pair.real.giveBack(first, first + count);
  pair.naive.giveBack(first, first + count);
});

/** All that was taken for consumers, and one lease time. */
const grant = steps('grant', fc.integer({ min: 50, max: 500 }), (pair, leaseMs) => {
  const runs = pair.taken.sort((a, b) => a.first - b.first);
  pair.taken = [];
  const { grant: id, leases } = pair.real.grant(runs, leaseMs, pair.now);
  const { naive, term, grants } = pair;
  const own = Math.ceil((naive.nextGrant - term) / TERMS) * TERMS + term;
  checkSame(id, own, 'grant');
  if (leases.length > 0) {
    naive.nextGrant = own;
    checkSame(grants.includes(id), false, 'whether the number was given before');
    grants.push(id);
  }
  expect(offsets(leases)).toEqual(pair.naive.grant(runs, leaseMs));
});

type Settle<A> = (pair: Pair, range: readonly [number, number, number], args: A) => readonly [number, number];

function settle<A>(name: string, args: fc.Arbitrary<A>, how: Settle<A>): fc.Arbitrary<Step> {
  return steps(name, fc.tuple(grantBack, back, length, args), (pair, [older, from, count, given]) => {
    const first = pair.naive.cursor - from;
    const [real, naive] = how(pair, [pair.grants.at(-older) ?? 0, first, first + count], given);
    checkSame(real, naive, 'records that were not held');
  });
}

const nothing = fc.constant(0);
const ack = settle('ack', nothing, ({ real, naive }, range) => [real.ack(...range), naive.ack(...range)]);
const release = settle('release', nothing, ({ real, naive }, range) => [
  real.release(...range),
  naive.release(...range),
]);
const reject = settle('reject', nothing, ({ real, naive }, range) => [
  real.reject(...range, 'no'),
  naive.reject(...range, 'no'),
]);
const nack = settle('nack', delay, ({ real, naive, now }, range, ms) => [
  real.nack(...range, now, ms, 'bad'),
  naive.nack(...range, ms, 'bad'),
]);
const extend = settle('extend', fc.integer({ min: 50, max: 900 }), ({ real, naive, now }, range, ms) => [
  real.extend(...range, ms, now),
  naive.extend(...range, ms),
]);

const discard = steps('discard', fc.tuple(fc.boolean(), back, length), (pair, [skips, from, count]) => {
  const first = pair.naive.cursor - from;
  const what = skips ? 'skip' : 'discard';
  checkSame(pair.real[what](first, first + count), pair.naive[what](first, first + count), what);
});

const advance = steps(
  'advance',
  fc.tuple(fc.integer({ min: 0, max: 200 }), fc.constantFrom(0, 0, 0, 1000)),
  (pair, [ms, jumpMs]) => {
    pair.naive.steadyMs += ms;
    pair.naive.wallMs += ms + jumpMs;
    checkSame(pair.real.expire(pair.now), pair.naive.expire(), 'leases that ended');
  },
);

const moveDead = steps('moveDead', fc.integer({ min: 1, max: 6 }), (pair, max) => {
  const runs = pair.real.takeDead(max);
  expect(offsets(runs)).toEqual(pair.naive.takeDead(max));
  if (runs.length > 0) beginMove(pair, runs);
});

const moveRange = steps('moveRange', fc.tuple(back, length), (pair, [from, count]) => {
  const first = pair.naive.cursor - from;
  beginMove(pair, [{ first, end: first + count }]);
});

const endMove = steps('endMove', fc.boolean(), (pair, isCancelled) => {
  const [id = 99] = pair.naive.moves.keys();
  const what = isCancelled ? 'cancelMove' : 'endMove';
  pair.real[what](id);
  pair.naive[what](id);
});

const store = steps('store', nothing, (pair) => pair.store());
const crash = steps('crash', nothing, (pair) => pair.crash());

const anyStep = fc.oneof(
  ...[
    offer,
    offerEach,
    offerEach,
    take,
    takeRange,
    giveBack,
    grant,
    discard,
    advance,
    moveDead,
    moveRange,
    endMove,
  ],
  ...[ack, ack, nack, nack, reject, release, extend, take, grant, offer, store, store, crash],
);

describe('the partition of a queue', () => {
  it('does what the plain one does, step by step, and after a crash what it did when it was last stored', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { minLength: 1, maxLength: 60, size: 'max' }), (all) => {
        const pair = new Pair();
        for (const { act } of all) {
          act(pair);
          pair.check();
        }
      }),
      { numRuns: 300 },
    );
  });

  it('is the same whether its events are applied from the beginning or to any earlier state', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { minLength: 20, maxLength: 60, size: 'max' }), fc.nat(), (all, pick) => {
        const pair = new Pair();
        const partition = pair.real;
        pair.store = () => undefined;
        pair.crash = () => undefined;
        const events = [{ kind: 'advanced' as const, cursor: START }, ...eventsOf(partition, pair, all)];
        const from = pick % events.length;
        const whole = empty();
        for (const event of events.slice(0, from)) whole.apply(event);
        const restored = QueuePartition.restore(whole.capture(), SETTINGS);
        for (const event of events.slice(from)) {
          whole.apply(event);
          restored.apply(event);
          expect(restored.capture()).toEqual(whole.capture());
        }
        expect(whole.capture()).toEqual(partition.capture());
      }),
      { numRuns: 100 },
    );
  });
});

function eventsOf(partition: QueuePartition, pair: Pair, all: readonly Step[]) {
  return all.flatMap(({ act }) => {
    act(pair);
    return partition.drainEvents();
  });
}

function empty(): QueuePartition {
  const partition = new QueuePartition(0, SETTINGS);
  partition.drainEvents();
  return partition;
}

function beginMove(pair: Pair, runs: readonly OffsetRun[]): void {
  const intent: MoveIntent = {
    ...{ kind: 'dead-letter', topic: 'dlq.t', partition: 1, producerId: 7, sequence: 3, atMs: 5 },
    runs: runs.map(({ first, end }) => ({ first, end })),
  };
  checkSame(pair.real.beginMove(intent)?.id, pair.naive.beginMove(intent), 'move');
}

function offsets(runs: readonly OffsetRun[]): number[] {
  return runs.flatMap(({ first, end }) => Array.from({ length: end - first }, (_, n) => first + n));
}

function eachRecord(runs: readonly OpenRun[]): OpenRun[] {
  return runs.flatMap((run) => offsets([run]).map((first) => ({ ...run, first, end: first + 1 })));
}

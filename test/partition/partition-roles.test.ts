import { beforeEach, describe, expect, it, vi } from 'vitest';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { Acks } from '../../src/partition/acknowledgements.ts';
import type { Partition } from '../../src/partition/partition.ts';
import { ProducerWindow } from '../../src/partition/producer-window.ts';
import type { PartitionReader, ReadResult } from '../../src/partition/reader.ts';
import { readBatchHeader } from '../../src/wire/record-batch.ts';
import { batchOf, stampedBatch, textOf } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { turns } from '../support/turns.ts';
import { CasCluster } from './cas-cluster.ts';
import { idlePartition, leadershipOf, memoryLog, readAll, readNow } from './fixture.ts';

const coded = (code: string): Error => expect.objectContaining({ code }) as Error;
const idempotent = (baseSequence: number): Buffer =>
  batchOf(1, { producerId: 9, producerEpoch: 0, baseSequence });

let clock: FakeClock;
let cluster: CasCluster;
let partition: Partition;
let reasons: SluiceError[];

/** Leads with `b` and `c` as the other replicas. */
function lead(epoch: number, isr: readonly string[], minInsync = 2): void {
  const replicas = ['a', 'b', 'c'];
  cluster = new CasCluster({ replicas, leader: 'a', leaderEpoch: epoch, isr });
  const onStepDown = (reason: SluiceError): void => void reasons.push(reason);
  partition.lead(leadershipOf(epoch, { replicas, isr, minInsync, cluster, onStepDown }));
}

/** Appends. @returns a list that gets the code of the answer, or `ok` */
function publish(batch: Buffer, acks: Acks): string[] {
  const { nextOffset } = partition.append(batch, acks);
  const answer: string[] = [];
  if (partition.isAcknowledged(nextOffset, acks)) answer.push('ok');
  else partition.whenAcknowledged(nextOffset, acks, (error) => answer.push(error?.code ?? 'ok'));
  return answer;
}

const readerAt = (at: 'earliest' | 'latest'): PartitionReader =>
  partition.openReader({ at }) as PartitionReader;

beforeEach(() => {
  clock = new FakeClock();
  reasons = [];
  partition = idlePartition({ clock });
});

describe('a replica without a role', () => {
  it('takes nothing, and shows nothing of what nobody has confirmed', () => {
    const log = memoryLog(clock);
    log.append(stampedBatch(0, 3));
    partition = idlePartition({ clock, log });
    expect(() => partition.append(batchOf(1))).toThrow(coded('NOT_LEADER'));
    expect([partition.role, partition.highWatermark, partition.logEnd]).toEqual(['idle', 0, 3]);
  });
});

describe('a replica in any role', () => {
  it('says to its log whether all have what is there, which nobody knows before the state is', () => {
    const answers = [partition.log.isEverywhere?.()];
    const note = (): number => answers.push(partition.log.isEverywhere?.());
    lead(5, ['a', 'b']);
    note();
    partition.stateChanged(cluster.put({ isr: ['a', 'b', 'c'] }));
    note();
    partition.follow(6);
    note();
    partition.stateChanged(cluster.put({ leader: 'b', leaderEpoch: 6, isr: ['b', 'c'] }));
    note();
    expect(answers).toEqual([false, false, true, true, false]);
  });
});

describe('the leader', () => {
  it('acknowledges for one when it has stored a batch, and for all when all in sync have', () => {
    lead(5, ['a', 'b']);
    const [none, one, all] = [publish(batchOf(1), 0), publish(batchOf(1), 1), publish(batchOf(1), 2)];
    expect([none, one, all]).toEqual([['ok'], ['ok'], []]);
    partition.reportFollower('b', 2, 0);
    expect(all).toEqual([]);
    partition.reportFollower('b', 3, 0);
    expect(all).toEqual(['ok']);
  });

  it('shows readers a batch before it is acknowledged', () => {
    lead(5, ['a', 'b']);
    const reader = readerAt('earliest');
    const { nextOffset } = partition.append(batchOf(1), 2);
    readNow(reader);
    const seen: string[] = [];
    reader.onReadable = () => seen.push('read');
    partition.whenAcknowledged(nextOffset, 2, () => seen.push('acknowledged'));
    partition.reportFollower('b', 1, 0);
    expect(seen).toEqual(['read', 'acknowledged']);
  });

  it('stamps its epoch', () => {
    lead(5, ['a'], 1);
    partition.append(batchOf(1));
    const result = readNow(readerAt('earliest'));
    expect(result.kind === 'batches' && readBatchHeader(result.batches[0]!).leaderEpoch).toBe(5);
  });

  it('refuses for all, before anything is appended, while too few are in sync', () => {
    lead(5, ['a']);
    expect(() => partition.append(batchOf(1), 2)).toThrow(coded('NOT_ENOUGH_REPLICAS'));
    expect([partition.logEnd, publish(batchOf(1), 1)]).toEqual([0, ['ok']]);
  });

  it('refuses everything without the lease, and fetches too', () => {
    lead(5, ['a', 'b']);
    cluster.leaseHeld = false;
    expect(() => partition.append(batchOf(1), 0)).toThrow(coded('NOT_LEADER'));
    expect([partition.logEnd, partition.fetchRefusal(5)]).toEqual([0, 'UNAVAILABLE']);
  });

  it('acknowledges nothing that was ready only once the lease was gone', () => {
    lead(5, ['a', 'b']);
    const all = publish(batchOf(1), 2);
    cluster.leaseHeld = false;
    partition.reportFollower('b', 1, 0);
    expect(all).toEqual(['UNAVAILABLE']);
  });

  it('fails who waits when too few keep up', () => {
    lead(5, ['a', 'b']);
    const all = publish(batchOf(1), 2);
    clock.advance(10_000);
    expect(all).toEqual(['UNAVAILABLE']);
  });

  it('fails who waits when too few are in sync', () => {
    lead(5, ['a', 'b']);
    const all = publish(batchOf(1), 2);
    partition.stateChanged(cluster.put({ isr: ['a'] }));
    expect([all, partition.isr]).toEqual([['UNAVAILABLE'], ['a']]);
  });

  it('answers a repetition once the first is with all', () => {
    lead(5, ['a', 'b']);
    const first = publish(idempotent(0), 2);
    const again = publish(idempotent(0), 2);
    expect([first, again, partition.logEnd]).toEqual([[], [], 1]);
    partition.reportFollower('b', 1, 0);
    expect([first, again]).toEqual([['ok'], ['ok']]);
  });

  describe('whose log begins above its watermark, because retention takes what is too much', () => {
    beforeEach(() => {
      const producers = new ProducerWindow(clock, 100, { producers: 0, maxProducers: 100 });
      partition = idlePartition({ clock, producers, log: memoryLog(clock, 2, producers) });
      lead(5, ['a', 'b']);
    });

    /** One for all that waits, then so many for one that the log begins behind it. */
    const overtaken = (): string[] => {
      const waiting = publish(idempotent(0), 2);
      for (let count = 0; count < 3; count++) publish(batchOf(1), 1);
      return waiting;
    };

    it('fails who waits for all in sync to have what is gone', () => {
      const waiting = overtaken();
      expect([partition.logStart, partition.highWatermark, waiting]).toEqual([2, 0, ['GAP']]);
    });

    it('does not take a follower that begins where the log begins now for one that has had it', () => {
      overtaken();
      const later = publish(batchOf(1), 2);
      partition.reportFollower('b', partition.logEnd, 0);
      expect([publish(idempotent(0), 2), publish(idempotent(0), 1), later]).toEqual([
        ['GAP'],
        ['ok'],
        ['ok'],
      ]);
    });

    it('fails who waits when another partition had the memory taken', () => {
      const waiting = publish(idempotent(0), 2);
      publish(batchOf(1), 1);
      partition.log.deleteBefore(1);
      partition.sweep();
      expect(waiting).toEqual(['GAP']);
    });

    it('confirms again what all in sync had before it went', () => {
      const first = publish(idempotent(0), 2);
      partition.reportFollower('b', 1, 0);
      for (let count = 0; count < 3; count++) {
        publish(batchOf(1), 1);
        partition.reportFollower('b', partition.logEnd, 0);
      }
      expect([first, partition.logStart, publish(idempotent(0), 2)]).toEqual([['ok'], 2, ['ok']]);
    });
  });

  describe('that refuses a batch for its sequence', () => {
    /** What its producer is told, which has sent others before it, here or elsewhere. */
    async function told(batch: Buffer): Promise<string[]> {
      const answer: string[] = [];
      try {
        partition.append(batch, 2);
      } catch (error) {
        partition.whenCertain(error as SluiceError, ({ code }) => answer.push(code));
      }
      await turns(3);
      return answer;
    }

    beforeEach(() => lead(5, ['a', 'b']));

    it('says so when it leads', async () => {
      expect(await told(idempotent(4))).toEqual(['UNKNOWN_PRODUCER']);
      partition.append(idempotent(0), 1);
      expect(await told(idempotent(4))).toEqual(['OUT_OF_ORDER_SEQUENCE']);
    });

    it.each<[string, () => void]>([
      ['another leads', () => cluster.put({ leader: 'b', leaderEpoch: 6 })],
      ['it was named again', () => cluster.put({ leaderEpoch: 6 })],
      ['it cannot find out who leads', () => (cluster.isReadable = false)],
    ])('only says that it does not lead when %s, of which it has not heard', async (_, happen) => {
      happen();
      expect([partition.role, await told(idempotent(4))]).toEqual(['leader', ['NOT_LEADER']]);
    });

    it('only says that it does not lead when it has stopped meanwhile', () => {
      partition.idle(6);
      const answer: string[] = [];
      partition.whenCertain(new SluiceError('UNKNOWN_PRODUCER', ''), ({ code }) => answer.push(code));
      expect(answer).toEqual(['NOT_LEADER']);
    });

    it('says at once what has nothing to do with who leads', () => {
      cluster.isReadable = false;
      const answer: string[] = [];
      partition.whenCertain(new SluiceError('PRODUCER_FENCED', ''), ({ code }) => answer.push(code));
      expect(answer).toEqual(['PRODUCER_FENCED']);
    });
  });

  it('takes nothing back', () => {
    lead(5, ['a', 'b']);
    expect(() => partition.truncateTo(0)).toThrow(TypeError);
  });

  it.each([5, 4])('cannot lead again in epoch %d', (epoch) => {
    lead(5, ['a']);
    expect(() => lead(epoch, ['a'])).toThrow(TypeError);
  });

  it('needs as many in sync as the topic says from now on', () => {
    lead(5, ['a', 'b']);
    partition.configure({ batchMaxBytes: 1e6, timestamps: 'create', minInsync: 3 });
    expect(() => partition.append(batchOf(1), 2)).toThrow(coded('NOT_ENOUGH_REPLICAS'));
  });
});

describe('who leads no more', () => {
  it('says to whom waits that it is not known what becomes of it, and keeps readers and the watermark', () => {
    lead(5, ['a', 'b']);
    const reader = readerAt('earliest');
    partition.append(batchOf(2), 1);
    partition.reportFollower('b', 2, 0);
    const all = publish(batchOf(1), 2);
    partition.follow(6);
    expect([all, partition.role, partition.leaderEpoch]).toEqual([['UNAVAILABLE'], 'follower', 6]);
    expect(readAll(reader)).toEqual(['0 null=v', '1 null=v']);
  });

  it('learns of it from the stored state, and says why', () => {
    lead(5, ['a', 'b']);
    const all = publish(batchOf(1), 2);
    partition.stateChanged(cluster.put({ leader: 'b', leaderEpoch: 6 }));
    expect([all, partition.role, reasons.map(({ code }) => code)]).toEqual([
      ['UNAVAILABLE'],
      'idle',
      ['NOT_LEADER'],
    ]);
  });

  it('can be given another role while it is told', () => {
    const replicas = ['a', 'b'];
    const onStepDown = (): void => partition.follow(6);
    partition.lead(leadershipOf(5, { replicas, isr: ['a'], onStepDown }));
    const entry = new CasCluster({ replicas, leader: 'b', leaderEpoch: 6, isr: ['a'] }).put({});
    partition.stateChanged(entry);
    expect([partition.role, partition.leaderEpoch, partition.replicas]).toEqual(['follower', 6, replicas]);
  });

  it('leads on in a later epoch with what it has', () => {
    lead(5, ['a'], 1);
    partition.append(batchOf(2));
    partition.idle(5);
    lead(7, ['a'], 1);
    expect(partition.append(batchOf(1)).baseOffset).toBe(2);
    expect(partition.log.leaderEpochs).toEqual([
      { epoch: 5, firstOffset: 0 },
      { epoch: 7, firstOffset: 2 },
    ]);
  });

  it('takes no notice of news about epochs that are over', () => {
    lead(5, ['a'], 1);
    partition.follow(4);
    partition.idle(3);
    expect([partition.role, partition.leaderEpoch]).toEqual(['leader', 5]);
  });

  it('steps down when its log has lost what others may have, and tells that', () => {
    const losses: number[] = [];
    partition = idlePartition({ clock, onLoss: (end) => losses.push(end) });
    lead(5, ['a'], 1);
    partition.append(batchOf(2));
    partition.log.onLoss!(1);
    expect([partition.role, reasons.map(({ code }) => code), losses]).toEqual([
      'idle',
      ['STORAGE_FAILED'],
      [1],
    ]);
  });
});

describe('a follower', () => {
  beforeEach(() => partition.follow(5));

  it('shows readers what it has, up to the leader’s watermark', () => {
    const reader = readerAt('earliest');
    readNow(reader);
    let woken = 0;
    reader.onReadable = () => woken++;
    partition.appendReplicated([stampedBatch(0, 2, 5), stampedBatch(2, 1, 5)], {
      highWatermark: 2,
      logStart: 0,
    });
    expect([woken, readAll(reader)]).toEqual([1, ['0 null=v', '1 null=v']]);
    partition.appendReplicated([], { highWatermark: 9, logStart: 0 });
    expect([partition.highWatermark, readAll(reader)]).toEqual([3, ['2 null=v']]);
  });

  it('has the very bytes of the leader', () => {
    const batch = stampedBatch(0, 2, 4);
    partition.appendReplicated([Buffer.from(batch)], { highWatermark: 2, logStart: 0 });
    const result = readNow(readerAt('earliest'));
    expect(result.kind === 'batches' && result.batches[0]).toEqual(batch);
  });

  it('keeps its watermark when the leader says a lower one, as a new leader does', () => {
    partition.appendReplicated([stampedBatch(0, 2, 5)], { highWatermark: 2, logStart: 0 });
    partition.follow(6);
    partition.appendReplicated([], { highWatermark: 0, logStart: 0 });
    expect(partition.highWatermark).toBe(2);
  });

  it('keeps what came before a batch that is broken', () => {
    const broken = stampedBatch(2, 1, 5).fill(0xff, 62);
    expect(() =>
      partition.appendReplicated([stampedBatch(0, 2, 5), broken], { highWatermark: 2, logStart: 0 }),
    ).toThrow(coded('CORRUPT_BATCH'));
    expect([partition.logEnd, partition.highWatermark]).toEqual([2, 2]);
  });

  it('deletes what the leader has deleted', () => {
    const leader = { highWatermark: 4, logStart: 2 };
    partition.appendReplicated([stampedBatch(0, 2, 5), stampedBatch(2, 2, 5)], leader);
    expect(partition.logStart).toBe(2);
  });

  it('takes no batches of clients, and gives none to followers', () => {
    expect(() => partition.append(batchOf(1))).toThrow(coded('NOT_LEADER'));
    expect(() => partition.deleteBefore(0)).toThrow(coded('NOT_LEADER'));
    expect([4, 5, 6].map((epoch) => partition.fetchRefusal(epoch))).toEqual([
      'NOT_LEADER',
      'NOT_LEADER',
      'UNAVAILABLE',
    ]);
  });

  it('knows as leader which batches of producers it has', () => {
    lead(6, ['a'], 1);
    partition.append(idempotent(0));
    const { batches } = readNow(readerAt('earliest')) as { batches: readonly Buffer[] };
    const other = idlePartition({ clock });
    other.follow(6);
    other.appendReplicated(batches, { highWatermark: 1, logStart: 0 });
    other.lead(leadershipOf(7));
    expect(other.append(idempotent(0))).toMatchObject({ kind: 'duplicate', baseOffset: 0 });
  });

  it('goes back where it is told to, and ends readers who were beyond', () => {
    partition.appendReplicated([stampedBatch(0, 2, 5), stampedBatch(2, 2, 5)], {
      highWatermark: 4,
      logStart: 0,
    });
    const [ahead, behind] = [readerAt('latest'), readerAt('earliest')];
    void partition.truncateTo(3);
    expect([partition.logEnd, partition.highWatermark]).toEqual([2, 2]);
    expect(readNow(ahead)).toEqual({ kind: 'ended', code: 'OFFSET_OUT_OF_RANGE' });
    expect(readAll(behind)).toEqual(['0 null=v', '1 null=v']);
  });

  it('leaves readers alone when what it takes back was not visible', () => {
    partition.appendReplicated([stampedBatch(0, 2, 5), stampedBatch(2, 2, 5)], {
      highWatermark: 2,
      logStart: 0,
    });
    const reader = readerAt('latest');
    void partition.truncateTo(2);
    expect([readNow(reader).kind, partition.highWatermark]).toEqual(['idle', 2]);
  });

  it('begins anew where the leader begins, and readers get a gap', () => {
    partition.appendReplicated([stampedBatch(0, 2, 5)], { highWatermark: 2, logStart: 0 });
    const reader = readerAt('latest');
    void partition.resetTo(100);
    partition.appendReplicated([stampedBatch(100, 1, 5)], { highWatermark: 101, logStart: 100 });
    expect(readAll(reader)).toEqual(['gap 2-100', '100 null=v']);
  });

  it('begins anew further back when that is all there is, and ends readers who were beyond', () => {
    void partition.resetTo(100);
    const reader = readerAt('latest');
    void partition.resetTo(10);
    expect([readNow(reader).kind, partition.logEnd, partition.highWatermark]).toEqual(['ended', 10, 10]);
  });

  it('confirms as leader what it stores after it went back, however far beyond that its log began before', async () => {
    partition.follow(5);
    await partition.resetTo(1000);
    partition.follow(6);
    await partition.resetTo(2);
    lead(7, ['a', 'b']);
    const all = publish(batchOf(1), 2);
    partition.reportFollower('b', 3, 0);
    expect(all).toEqual(['ok']);
  });
});

describe('a reader whose read is under way while the log goes back', () => {
  /** @param outcome of the read that was under way */
  async function overtake(outcome: 'read' | 'failed'): Promise<ReadResult> {
    lead(5, ['a'], 1);
    for (const value of ['a', 'b', 'old']) partition.append(batchOf([{ value }]));
    const reader = readerAt('earliest');
    const found = partition.log.read(0, 3, 1e6);
    const late = Promise.withResolvers<readonly Buffer[]>();
    const spy = vi.spyOn(partition.log, 'read').mockReturnValueOnce(late.promise);
    const reading = reader.read(1e6);
    partition.idle(5);
    void partition.truncateTo(2);
    lead(6, ['a'], 1);
    partition.append(batchOf([{ value: 'new' }]));
    if (outcome === 'read') late.resolve(found);
    else late.reject(new SluiceError('STORAGE_FAILED', 'the file was shorter'));
    spy.mockRestore();
    return reading;
  }

  it.each(['read', 'failed'] as const)('gets what is there now, when the read %s', async (outcome) => {
    const result = await overtake(outcome);
    expect(result.kind === 'batches' && textOf(result.batches)).toEqual([
      '0 null=a',
      '1 null=b',
      '2 null=new',
    ]);
  });

  it('ends when it was to look further than what is left for the latest of each key', () => {
    lead(5, ['a'], 1);
    for (const key of ['a', 'b', 'c']) partition.append(batchOf([{ key }]));
    const reader = partition.openReader({ at: 'last-per-key' }) as PartitionReader;
    partition.idle(5);
    void partition.truncateTo(2);
    expect(readNow(reader)).toEqual({ kind: 'ended', code: 'OFFSET_OUT_OF_RANGE' });
  });
});

describe('news', () => {
  it('are told to watchers of what they may wait for, until they stop watching', () => {
    lead(5, ['a', 'b']);
    let told = 0;
    const watcher = { partitionChanged: () => told++ };
    const isTold = (change: () => void): boolean => {
      const before = told;
      change();
      return told > before;
    };
    partition.watch(watcher);
    expect([
      isTold(() => partition.append(batchOf(2))),
      isTold(() => partition.reportFollower('b', 2, 0)),
      isTold(() => partition.deleteBefore(1)),
      isTold(() => partition.stateChanged(cluster.put({ isr: ['a'] }))),
      isTold(() => partition.idle(5)),
      isTold(() => void partition.close()),
    ]).toEqual([true, true, true, true, true, true]);
    partition.unwatch(watcher);
    expect(isTold(() => partition.idle(6))).toBe(false);
  });
});

describe('closing', () => {
  it('answers who still waits, and ends the timers of leading', async () => {
    lead(5, ['a', 'b']);
    const all = publish(batchOf(1), 2);
    await partition.close();
    clock.advance(60_000);
    expect([all, clock.pendingTimers, cluster.asked]).toEqual([['CLOSED'], 0, []]);
    expect(partition.fetchRefusal(5)).toBe('UNAVAILABLE');
  });
});

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SluiceError } from '../../src/kernel/errors.ts';
import { ByteRate } from '../../src/partition/byte-rate.ts';
import type { FetcherOptions, Following } from '../../src/partition/fetcher.ts';
import { Fetcher } from '../../src/partition/fetcher.ts';
import { stampedBatch } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { turns } from '../support/turns.ts';
import { ScriptedReplica } from './following-replica.ts';
import { ScriptedLeader } from './scripted-leader.ts';

const EPOCH = 5;
const BATCH_BYTES = stampedBatch(0, 2, EPOCH).length;
const unreachable = (): SluiceError => new SluiceError('UNAVAILABLE', 'test');

describe('Fetcher', () => {
  let clock: FakeClock;
  let leader: ScriptedLeader;
  let fetcher: Fetcher;
  let told: string[];

  beforeEach(() => {
    clock = new FakeClock();
    leader = new ScriptedLeader();
    told = [];
    fetcher = open();
  });
  afterEach(() => fetcher.close());

  function open(options: Partial<FetcherOptions> = {}): Fetcher {
    return new Fetcher({
      leaderId: 'b',
      client: leader,
      clock,
      random: new SeededRandom(1),
      observer: {
        onUnreachable: (id, { code }) => told.push(`unreachable ${id} ${code}`),
        onReached: (id) => told.push(`reached ${id}`),
      },
      ...options,
    });
  }

  function follow(partition = 0, replica = new ScriptedReplica(), isInSync = true): Following {
    return fetcher.follow({ topicId: 't', partition, replica, epoch: EPOCH, isInSync: () => isInSync });
  }

  /** Partitions named by a request, with their offsets. */
  const named = (request = leader.last): string[] =>
    request.changed.map((one) => `${one.partition}@${one.fetchOffset}/${one.durableOffset}`);
  const forgotten = (request = leader.last): number[] => request.forgotten.map(({ partition }) => partition);

  it('begins one session that names all partitions, and asks for nothing while there are none', async () => {
    await turns();
    expect(leader.requests).toHaveLength(0);
    follow(0);
    follow(1);
    await turns();
    expect(leader.requests).toHaveLength(1);
    expect(leader.last).toMatchObject({ sessionId: 0, sequence: 0, received: -1, maxWaitMs: 500 });
    expect(named()).toEqual(['0@0/0', '1@0/0']);
  });

  it('goes on asking in the session, and names only what has moved', async () => {
    follow(0);
    follow(1);
    await turns();
    leader.last.answer({ partition: 1, batches: [stampedBatch(0, 2, EPOCH)] });
    await turns();
    expect(leader.last).toMatchObject({ sessionId: 77, sequence: 1, received: 0 });
    expect(named()).toEqual(['1@2/2']);
    leader.last.answer();
    await turns();
    expect(leader.last).toMatchObject({ sequence: 2, received: 1, changed: [], forgotten: [] });
  });

  it('names a partition again that the leader waits to hear of, though it has not moved', async () => {
    const batch = stampedBatch(0, 2, EPOCH);
    follow(0);
    await turns();
    leader.last.answer({ batches: [batch] });
    await turns();
    leader.last.answer({ batches: [batch] });
    await turns();
    expect(named()).toEqual(['0@2/2']);
    leader.last.answer({ highWatermark: 2 });
    await turns();
    expect(named()).toEqual([]);
  });

  it('names a partition again when somebody begins to read it, but not when nobody does any more', async () => {
    const replica = new ScriptedReplica();
    follow(0, replica);
    await turns();
    leader.last.answer();
    await turns();
    replica.isRead = true;
    replica.onRead?.();
    await turns();
    expect(leader.last.changed).toMatchObject([{ fetchOffset: 0, unread: false }]);
    const { sequence } = leader.last;
    replica.isRead = false;
    replica.onRead?.();
    await turns();
    expect(leader.last.sequence).toBe(sequence);
  });

  it('has a second request when something becomes durable, one for all that does in a turn, and no third', async () => {
    const replicas = [0, 1, 2].map(() => new ScriptedReplica());
    replicas.forEach((replica, partition) => {
      replica.isSlow = true;
      follow(partition, replica);
    });
    await turns();
    leader.last.answer(
      ...replicas.map((_, partition) => ({ partition, batches: [stampedBatch(0, 2, EPOCH)] })),
    );
    await turns();
    expect(leader.outstanding).toBe(1);
    replicas[0]!.sync();
    replicas[1]!.sync();
    await turns();
    expect([leader.outstanding, named()]).toEqual([2, ['0@2/2', '1@2/2']]);
    replicas[2]!.sync();
    await turns();
    expect(leader.outstanding).toBe(2);
    leader.requests.at(-2)!.answer();
    await turns();
    expect([leader.outstanding, named()]).toEqual([2, ['2@2/2']]);
  });

  it('waits for the id of the session before it has a second request', async () => {
    follow(0);
    await turns();
    follow(1);
    await turns();
    expect(leader.outstanding).toBe(1);
    leader.last.answer();
    await turns();
    expect([leader.last.sessionId, named()]).toEqual([77, ['1@0/0']]);
  });

  it('works in responses in the order of their requests', async () => {
    const replica = new ScriptedReplica();
    follow(0, replica);
    await turns();
    leader.last.answer();
    await turns();
    follow(1);
    await turns();
    const [first, second] = leader.requests.slice(-2);
    second!.answer({ batches: [stampedBatch(2, 2, EPOCH)] });
    await turns();
    expect(replica.logEnd).toBe(0);
    first!.answer({ batches: [stampedBatch(0, 2, EPOCH)] });
    await turns();
    expect(replica.batches.map((one) => Number(one.readBigInt64BE()))).toEqual([0, 2]);
  });

  it('does not take what was asked for before a log went back, which would leave a hole', async () => {
    const replica = new ScriptedReplica();
    follow(0, replica);
    await turns();
    leader.last.answer({ batches: [stampedBatch(0, 2, EPOCH), stampedBatch(2, 2, EPOCH)] });
    await turns();
    replica.cut(2);
    // Asked for by a request that named offset 4.
    leader.last.answer({ batches: [stampedBatch(4, 2, EPOCH)] });
    await turns();
    expect(replica.logEnd).toBe(2);
    expect(named()).toEqual(['0@2/2']);
    leader.last.answer({ batches: [stampedBatch(2, 2, EPOCH)] });
    await turns();
    expect(replica.logEnd).toBe(4);
  });

  it('does not take for a new follower what was asked for by the one before it', async () => {
    const following = follow(0);
    await turns();
    leader.last.answer();
    await turns();
    void following.stop();
    const replica = new ScriptedReplica();
    follow(0, replica);
    const before = leader.last;
    await turns();
    expect([named(), forgotten()]).toEqual([['0@0/0'], []]);
    before.answer({ batches: [stampedBatch(8, 2, EPOCH)] });
    await turns();
    expect(replica.logEnd).toBe(0);
  });

  describe('partitions that can take nothing for the moment', () => {
    it('are out of the session until they can', async () => {
      const replica = new ScriptedReplica();
      follow(0, replica);
      follow(1);
      await turns();
      leader.last.answer({ error: 'UNAVAILABLE' });
      await turns();
      expect([named(), forgotten()]).toEqual([[], [0]]);
      clock.advance(50);
      await turns();
      expect(named()).toEqual(['0@0/0']);
    });

    it('are forgotten once they are followed no more, and then nothing is asked', async () => {
      const following = follow(0);
      await turns();
      leader.last.answer();
      await turns();
      await following.stop();
      await turns();
      expect(forgotten()).toEqual([0]);
      for (const request of leader.requests.slice(-2)) request.answer();
      const { length } = leader.requests;
      await turns();
      expect([leader.requests.length, fetcher.size]).toEqual([length, 0]);
    });
  });

  it('begins again when the leader does not know the session', async () => {
    follow(0);
    await turns();
    leader.last.answer({ batches: [stampedBatch(0, 2, EPOCH)] });
    await turns();
    leader.last.lose();
    await turns();
    expect(leader.last).toMatchObject({ sessionId: 0, sequence: 0, received: -1 });
    expect(named()).toEqual(['0@2/2']);
  });

  it('does not take the answers of a session that it has given up', async () => {
    const replica = new ScriptedReplica();
    follow(0, replica);
    await turns();
    leader.last.answer();
    await turns();
    follow(1);
    await turns();
    const [first, second] = leader.requests.slice(-2);
    first!.lose();
    await turns();
    second!.answer({ batches: [stampedBatch(0, 2, EPOCH)] });
    await turns();
    expect(replica.logEnd).toBe(0);
    leader.last.answer({ batches: [stampedBatch(0, 2, EPOCH)] });
    await turns();
    expect(replica.logEnd).toBe(2);
  });

  it('asks a leader that cannot be reached less and less often, at least every second', async () => {
    follow(0);
    await turns();
    const waits: number[] = [];
    for (let round = 0; round < 8; round++) {
      const { length } = leader.requests;
      leader.last.fail(unreachable());
      await turns();
      const before = clock.monotonicMs();
      while (leader.requests.length === length) {
        clock.advance(10);
        await turns(1);
      }
      waits.push(clock.monotonicMs() - before);
      expect(leader.last.sequence).toBe(0);
    }
    expect(waits[0]).toBeLessThanOrEqual(50);
    expect(waits[7]).toBeGreaterThan(400);
    expect(Math.max(...waits)).toBeLessThanOrEqual(1000);
    expect(told).toEqual(['unreachable b UNAVAILABLE']);
    leader.last.answer();
    await turns();
    expect(told).toEqual(['unreachable b UNAVAILABLE', 'reached b']);
    leader.last.fail(unreachable());
    await turns();
    clock.advance(50);
    await turns();
    expect([leader.last.sequence, leader.outstanding]).toEqual([0, 1]);
  });

  it('waits before it asks again when the leader knows not even a new session', async () => {
    follow(0);
    await turns();
    leader.last.lose();
    await turns();
    expect(leader.requests).toHaveLength(1);
    clock.advance(50);
    await turns();
    expect(leader.requests).toHaveLength(2);
  });

  describe('bytes that are not durable yet', () => {
    it('are bounded over all partitions: above that it asks for nothing', async () => {
      fetcher.close();
      fetcher = open({ maxPendingBytes: 2 * BATCH_BYTES });
      const replicas = [0, 1].map(() => new ScriptedReplica());
      replicas.forEach((replica, partition) => {
        replica.isSlow = true;
        follow(partition, replica);
      });
      await turns();
      leader.last.answer(
        { partition: 0, batches: [stampedBatch(0, 2, EPOCH)] },
        { partition: 1, batches: [stampedBatch(0, 2, EPOCH)] },
      );
      await turns();
      expect([leader.outstanding, fetcher.pendingBytes]).toEqual([0, 2 * BATCH_BYTES]);
      replicas[0]!.sync();
      await turns();
      expect([leader.outstanding, fetcher.pendingBytes]).toEqual([1, BATCH_BYTES]);
      expect(named()).toEqual(['0@2/2']);
    });

    it('keep only their own partition from being asked about while it has more than its share', async () => {
      fetcher.close();
      fetcher = open({ maxPendingBytes: 16 * BATCH_BYTES });
      const slow = new ScriptedReplica();
      slow.isSlow = true;
      follow(0, slow);
      follow(1);
      await turns();
      leader.last.answer({ batches: [0, 2, 4].map((offset) => stampedBatch(offset, 2, EPOCH)) });
      await turns();
      expect([named(), forgotten()]).toEqual([[], [0]]);
      leader.last.answer({ partition: 1, batches: [stampedBatch(0, 2, EPOCH)] });
      await turns();
      expect(named()).toEqual(['1@2/2']);
      slow.sync();
      await turns();
      expect(named()).toEqual(['0@6/6']);
    });
  });

  it('bounds what partitions that are not in sync take in a second, and nobody else', async () => {
    fetcher.close();
    fetcher = open({ catchUpRate: new ByteRate(clock, BATCH_BYTES) });
    follow(0, new ScriptedReplica(), false);
    follow(1, new ScriptedReplica(), true);
    await turns();
    const batches = [0, 2].map((offset) => stampedBatch(offset, 2, EPOCH));
    leader.last.answer(...[0, 1].map((partition) => ({ partition, batches })));
    await turns();
    expect([named(), forgotten()]).toEqual([['1@4/4'], [0]]);
    clock.advance(900);
    await turns();
    expect(leader.outstanding).toBe(1);
    clock.advance(200);
    await turns();
    expect(named()).toEqual(['0@4/4']);
  });

  it('asks for nothing and takes nothing once it is closed', async () => {
    const replica = new ScriptedReplica();
    follow(0, replica);
    await turns();
    fetcher.close();
    leader.last.answer({ batches: [stampedBatch(0, 2, EPOCH)] });
    await turns();
    expect([leader.requests.length, replica.logEnd]).toEqual([1, 0]);
  });
});

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TopicDefinition } from '../../src/coordination/coordinator.ts';
import { OFFSET_BLOCK } from '../../src/coordination/coordinator.ts';
import type { Partition } from '../../src/partition/partition.ts';
import { put, remove } from '../../src/coordination/etcd/store.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { batchOf } from '../support/batch.ts';
import { turns } from '../support/turns.ts';
import { ClusterStage, newTopic } from './cluster-stage.ts';
import { ScriptedLogs } from './scripted-logs.ts';

const ALL = ['a', 'b', 'c'];

/** Every batch of a log, as its bytes. */
function bytesOf({ log }: Partition): string[] {
  const batches = log.read(log.logStart, log.logEnd, 1e9) as readonly Buffer[];
  return batches.map((batch) => batch.toString('base64'));
}

describe('Replicas', () => {
  let stage: ClusterStage;
  let topic: TopicDefinition;

  beforeEach(async () => {
    stage = new ClusterStage();
    for (const id of ALL) await stage.start(id);
    topic = await stage.createTopic(newTopic('orders'));
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  const at = (id: string): Partition => stage.node(id).partition(topic);
  const roles = (): string[] => [...stage.nodes.values()].map(({ id }) => `${id} ${at(id).role}`);
  /** Publishes, and gives back what becomes of it: `waits`, `ok` or a code. */
  function publish(id: string, count = 1): () => string {
    const partition = at(id);
    let end = 0;
    for (let batch = 0; batch < count; batch++) end = partition.append(batchOf(1), 2).nextOffset;
    let outcome = 'waits';
    partition.whenAcknowledged(end, 2, (error) => (outcome = error?.code ?? 'ok'));
    return () => outcome;
  }

  describe('roles', () => {
    it('are what the state says: the leader claims, the others follow', async () => {
      await stage.assign(topic, { replicas: ALL, leader: 'a', isr: ALL });
      expect(roles()).toEqual(['a leader', 'b follower', 'c follower']);
      expect(stage.state(topic)).toMatchObject({ leader: 'a', leaderEpoch: 2, isr: ALL });
      expect(ALL.map((id) => at(id).leaderEpoch)).toEqual([2, 2, 2]);
      expect(at('b').isr).toEqual(ALL);
      expect(stage.node('b').told).toContain('opened orders/0');
    });

    it('are only for nodes that are replicas', async () => {
      await stage.assign(topic, { replicas: ['a', 'b'], leader: 'a', isr: ['a', 'b'] });
      expect(stage.node('c').replicas.ofTopic(topic.id)).toEqual([]);
      expect(stage.node('c').told).toEqual([]);
    });

    it('rest while there is no leader', async () => {
      await stage.assign(topic, { replicas: ALL, leader: null, isr: ALL });
      expect(roles()).toEqual(['a idle', 'b idle', 'c idle']);
    });

    it('go on where the log ended, also where nothing of it is left', async () => {
      await stage.assign(topic, { replicas: ALL, leader: 'a', isr: ALL });
      publish('a', 3);
      await stage.pass(500);
      at('a').deleteBefore(3);
      publish('a');
      await stage.pass(500);
      at('a').deleteBefore(4);
      await stage.pass(1000);
      await stage.assign(topic, { leader: 'b' });
      expect([at('b').role, at('b').logStart, at('b').logEnd]).toEqual(['leader', 4, 4]);
    });

    it('are not in trouble when another is named before the first has claimed', async () => {
      await stage.assign(topic, { replicas: ALL, leader: null, isr: ALL });
      const { cluster } = stage.node('c').coordinator;
      const state = { replicas: ALL, leader: 'a', leaderEpoch: 2, isr: ALL };
      const { revision } = cluster.partitionState(topic.id, 0)!;
      await Promise.all([
        cluster.updatePartition(topic.id, 0, revision, state),
        cluster.updatePartition(topic.id, 0, revision + 1, { ...state, leader: 'b', leaderEpoch: 3 }),
      ]);
      await stage.pass(500);
      expect(roles()).toEqual(['a follower', 'b leader', 'c follower']);
      expect(stage.node('a').told.filter((line) => line.startsWith('failed'))).toEqual([]);
    });

    it('are given also where the state was seen before its topic', async () => {
      stage.node('c').link.isUp = false;
      topic = await stage.createTopic(newTopic('late'));
      await stage.assign(topic, { replicas: ALL, leader: 'a', isr: ALL });
      // The topic is the younger change then.
      await stage.node('a').coordinator.alterTopic('late', { settings: { minInsync: 2 } });
      stage.etcd.compact();
      stage.node('c').link.isUp = true;
      await stage.pass(5000);
      expect(roles()).toEqual(['a leader', 'b follower', 'c follower']);
    });

    it('go over to another leader without closing a reader', async () => {
      await stage.assign(topic, { replicas: ALL, leader: 'a', isr: ALL });
      const reader = await at('b').openReader({ at: 'earliest' });
      publish('a');
      await stage.pass(100);
      await stage.assign(topic, { leader: 'b' });
      expect(roles()).toEqual(['a follower', 'b leader', 'c follower']);
      publish('b');
      await stage.pass(100);
      expect(reader.read(1e6)).toMatchObject({ kind: 'batches', batches: { length: 2 } });
    });
  });

  describe('replication', () => {
    beforeEach(() => stage.assign(topic, { replicas: ALL, leader: 'a', isr: ALL }));

    it('brings the same bytes to all, and acknowledges what all in sync have', async () => {
      const outcome = publish('a', 3);
      expect(outcome()).toBe('waits');
      await stage.pass(100);
      expect(outcome()).toBe('ok');
      expect([bytesOf(at('b')), bytesOf(at('c'))]).toEqual([bytesOf(at('a')), bytesOf(at('a'))]);
      await stage.pass(100);
      expect(ALL.map((id) => at(id).highWatermark)).toEqual([3, 3, 3]);
    });

    it('brings 10,000 batches to one that joins late, and it is in sync then', async () => {
      await stage.crash('c');
      await stage.assign(topic, { isr: ['a', 'b'] });
      publish('a', 10_000);
      await stage.start('c');
      await stage.pass(2000);
      expect(bytesOf(at('c'))).toEqual(bytesOf(at('a')));
      expect(stage.state(topic)?.isr).toEqual(ALL);
    });

    it('takes a follower that falls behind out of the in-sync replicas, and back when it has caught up', async () => {
      stage.node('c').link.isReachable = false;
      const outcome = publish('a');
      await stage.pass(5000);
      expect(outcome()).toBe('waits');
      await stage.pass(6000);
      expect([outcome(), stage.state(topic)?.isr]).toEqual(['ok', ['a', 'b']]);
      stage.node('c').link.isReachable = true;
      await stage.pass(2000);
      expect(stage.state(topic)?.isr).toEqual(ALL);
      expect(bytesOf(at('c'))).toEqual(bytesOf(at('a')));
    });

    it('takes back, on the former leader, what nobody else had', async () => {
      publish('a');
      await stage.pass(100);
      stage.node('b').link.isReachable = false;
      stage.node('c').link.isReachable = false;
      const outcome = publish('a', 5);
      stage.node('b').link.isReachable = true;
      stage.node('c').link.isReachable = true;
      stage.node('a').link.isReachable = false;
      await stage.assign(topic, { leader: 'b' });
      expect(outcome()).toBe('UNAVAILABLE');
      publish('b', 2);
      await stage.pass(100);
      stage.node('a').link.isReachable = true;
      await stage.pass(2000);
      expect(stage.node('a').told).toContain('truncated orders 6 1');
      expect(at('a').logEnd).toBe(3);
      expect(bytesOf(at('a'))).toEqual(bytesOf(at('b')));
    });

    it('follows what the leader deletes', async () => {
      publish('a', 5);
      await stage.pass(100);
      at('a').deleteBefore(3);
      await stage.pass(1000);
      publish('a');
      await stage.pass(1000);
      expect(ALL.map((id) => at(id).logStart)).toEqual([3, 3, 3]);
    });
  });

  it('acknowledges nothing while too few are in sync', async () => {
    topic = await stage.createTopic(newTopic('careful', { minInsync: 2 }));
    stage.node('b').link.isReachable = false;
    await stage.assign(topic, { replicas: ['a', 'b'], leader: 'a', isr: ['a'] });
    expect(() => at('a').append(batchOf(1), 2)).toThrow(
      expect.objectContaining({ code: 'NOT_ENOUGH_REPLICAS' }),
    );
    stage.node('b').link.isReachable = true;
    await stage.pass(2000);
    const outcome = publish('a');
    await stage.pass(100);
    expect([outcome(), stage.state(topic)?.isr]).toEqual(['ok', ['a', 'b']]);
  });

  describe('what a restart has taken', () => {
    beforeEach(async () => {
      await stage.assign(topic, { replicas: ALL, leader: 'a', isr: ALL });
      publish('a', 3);
      await stage.pass(200);
    });

    it('is fetched again, after leaving the in-sync replicas', async () => {
      await stage.crash('b');
      const b = await stage.start('b');
      expect(b.told.slice(0, 1)).toEqual(['lost orders']);
      await stage.pass(2000);
      expect(bytesOf(at('b'))).toEqual(bytesOf(at('a')));
      expect(stage.state(topic)?.isr).toEqual(ALL);
    });

    it('does not let it lead: it gives leadership back before it claims', async () => {
      await stage.crash('a');
      await stage.start('a');
      await stage.settle();
      expect(stage.state(topic)).toMatchObject({ leader: null, isr: ['b', 'c'] });
      expect(at('a').role).toBe('idle');
      await stage.assign(topic, { leader: 'b' });
      await stage.pass(2000);
      expect(bytesOf(at('a'))).toEqual(bytesOf(at('b')));
      expect(at('a').logEnd).toBe(3);
      expect(stage.state(topic)?.isr).toEqual(ALL);
    });

    it('is gone when it was alone in sync: it goes on empty, above all offsets that were given out', async () => {
      await stage.assign(topic, { isr: ['a'] });
      await stage.crash('a');
      await stage.start('a');
      expect(at('a')).toMatchObject({ role: 'leader', logStart: OFFSET_BLOCK, logEnd: OFFSET_BLOCK });
      await stage.pass(2000);
      expect(at('b').logEnd).toBe(OFFSET_BLOCK);
      expect(stage.node('b').told).toContain(`reset orders 3 ${OFFSET_BLOCK}`);
    });

    it('is not counted on either when the state was gone for a moment', async () => {
      stage.etcd.transact([], [remove(`/sluice/c/partitions/${topic.id}/0`)], []);
      await stage.settle();
      await stage.assign(topic, { replicas: ALL, leader: 'b', isr: ALL, leaderEpoch: 9 });
      await stage.pass(500);
      expect(stage.state(topic)?.isr).toHaveLength(1);
    });

    it('of all nodes one after the other leaves the last one alone', async () => {
      for (const id of ALL) await stage.crash(id);
      for (const id of ALL) await stage.start(id);
      await stage.pass(200);
      expect(stage.state(topic)?.isr).toEqual(['c']);
      await stage.assign(topic, { leader: 'c' });
      await stage.pass(2000);
      expect(ALL.map((id) => at(id).logEnd)).toEqual([OFFSET_BLOCK, OFFSET_BLOCK, OFFSET_BLOCK]);
    });
  });

  describe('the lease', () => {
    beforeEach(() => stage.assign(topic, { replicas: ALL, leader: 'a', isr: ALL }));

    it('ends leading when it is lost, and what waits', async () => {
      stage.node('b').link.isReachable = false;
      const outcome = publish('a');
      stage.node('a').link.isUp = false;
      await stage.pass(3000);
      expect([outcome(), at('a').role]).toEqual(['UNAVAILABLE', 'idle']);
    });

    it('makes it claim anew when it comes back and the state still names it', async () => {
      stage.node('a').link.isUp = false;
      await stage.pass(4000);
      stage.node('a').link.isUp = true;
      await stage.pass(2000);
      expect(at('a')).toMatchObject({ role: 'leader', leaderEpoch: 3 });
      expect(stage.state(topic)).toMatchObject({ leader: 'a', leaderEpoch: 3 });
      const outcome = publish('a');
      await stage.pass(2000);
      expect([outcome(), at('a').logEnd]).toEqual(['ok', 1]);
    });

    it('leaves it a follower when another leads by then', async () => {
      stage.node('a').link.isUp = false;
      await stage.pass(4000);
      await stage.assign(topic, { leader: 'b' });
      stage.node('a').link.isUp = true;
      await stage.pass(2000);
      expect(roles()).toEqual(['a follower', 'b leader', 'c follower']);
    });
  });

  describe('a follower whose node ends in order', () => {
    const close = (id: string): Promise<void> => {
      const closing = stage.node(id).replicas.close();
      return stage.pass(100).then(() => closing);
    };

    it('holds up no publish from then on', async () => {
      await stage.assign(topic, { replicas: ALL, leader: 'a', isr: ALL });
      await stage.pass(100);
      await close('c');
      const outcome = publish('a');
      await stage.pass(100);
      expect([outcome(), stage.state(topic)?.isr]).toEqual(['ok', ['a', 'b']]);
      await stage.pass(1000);
      expect(stage.state(topic)?.isr).toEqual(['a', 'b']);
    });

    it('stays in sync where too few would be left', async () => {
      const strict = await stage.createTopic(newTopic('strict', { minInsync: 3 }));
      await stage.assign(strict, { replicas: ALL, leader: 'a', isr: ALL });
      await close('c');
      expect(stage.state(strict)?.isr).toEqual(ALL);
    });

    it('leaves alone what it leads itself', async () => {
      await stage.assign(topic, { replicas: ALL, leader: 'a', isr: ALL });
      await close('a');
      expect(stage.state(topic)).toMatchObject({ leader: 'a', isr: ALL });
    });
  });

  describe('partitions that go', () => {
    it('are closed and their data removed where the node is no replica any more', async () => {
      await stage.assign(topic, { replicas: ALL, leader: 'a', isr: ALL });
      const partition = at('c');
      await stage.assign(topic, { replicas: ['a', 'b'], isr: ['a', 'b'] });
      expect(partition.closed).toBe(true);
      expect(stage.node('c').replicas.get(topic.id, 0)).toBeUndefined();
      expect(stage.node('c').told.at(-1)).toBe('closed orders/0');
      await stage.assign(topic, { replicas: ALL });
      await stage.pass(2000);
      expect(stage.state(topic)?.isr).toEqual(ALL);
    });

    it('are closed at once when their topic is deleted', async () => {
      await stage.assign(topic, { replicas: ALL, leader: 'a', isr: ALL });
      const partitions = ALL.map(at);
      await stage.node('b').coordinator.deleteTopic('orders');
      await stage.settle();
      expect(partitions.map(({ closed }) => closed)).toEqual([true, true, true]);
      expect(ALL.map((id) => stage.node(id).told.at(-1))).toEqual(ALL.map(() => 'closed orders/0'));
    });
  });

  describe('on disk', () => {
    let disks: Map<string, ScriptedLogs>;
    const calls = (id: string): readonly string[] => disks.get(id)!.calls;
    const restart = async (id: string): Promise<void> => {
      await stage.crash(id);
      await stage.start(id, { logs: disks.get(id)! });
    };

    beforeEach(async () => {
      await stage[Symbol.asyncDispose]();
      stage = new ClusterStage();
      disks = new Map(ALL.map((id) => [id, new ScriptedLogs(stage.clock)]));
      for (const id of ALL) await stage.start(id, { logs: disks.get(id)! });
      topic = await stage.createTopic(newTopic('orders', { storage: 'disk' }));
      await stage.assign(topic, { replicas: ALL, leader: 'a', isr: ALL });
      publish('a', 3);
      await stage.pass(500);
    });

    it('goes on in sync, and leads on, after a restart', async () => {
      await restart('a');
      expect(stage.state(topic)).toMatchObject({ leader: 'a', leaderEpoch: 3, isr: ALL });
      expect(at('a')).toMatchObject({ role: 'leader', logEnd: 3 });
      await stage.pass(2000);
      const outcome = publish('a');
      await stage.pass(500);
      expect(outcome()).toBe('ok');
    });

    it('leaves the in-sync replicas before it begins anew what is missing', async () => {
      disks.get('b')!.there.clear();
      const states: unknown[] = [];
      stage.node('a').coordinator.cluster.watchPartitions(({ entry }) => {
        states.push([entry.state.isr, calls('b').length]);
      });
      await restart('b');
      expect(states[0]).toEqual([['a', 'c'], 1]);
      await stage.pass(2000);
      expect(calls('b')).toEqual(['begin orders/0', 'begin orders/0', 'whole orders/0']);
      expect(bytesOf(at('b'))).toEqual(bytesOf(at('a')));
      expect(stage.state(topic)?.isr).toEqual(ALL);
    });

    it('does not lead with a log that is damaged while others are in sync', async () => {
      disks.get('a')!.damaged.add('orders/0');
      await restart('a');
      expect(stage.state(topic)).toMatchObject({ leader: null, isr: ['b', 'c'] });
      expect(at('a').role).toBe('idle');
    });

    it('leaves the in-sync replicas before it claims again when it loses, while it leads, what it had promised', async () => {
      const log = disks.get('a')!.there.get('orders/0')!;
      log.truncate(1);
      log.onLoss?.(1);
      await stage.settle();
      expect(stage.state(topic)).toMatchObject({ leader: null, leaderEpoch: 2, isr: ['b', 'c'] });
      await stage.assign(topic, { leader: 'b' });
      await stage.pass(2000);
      expect(bytesOf(at('a'))).toEqual(bytesOf(at('b')));
      expect(stage.state(topic)?.isr).toEqual(ALL);
    });

    it('leaves them, too, when it loses as a follower what it had promised', async () => {
      const log = disks.get('b')!.there.get('orders/0')!;
      const states: (readonly string[])[] = [];
      stage.node('a').coordinator.cluster.watchPartitions(({ entry }) => states.push(entry.state.isr));
      log.truncate(1);
      log.onLoss?.(1);
      await stage.pass(2000);
      expect(states).toEqual([['a', 'c'], ALL]);
      expect(bytesOf(at('b'))).toEqual(bytesOf(at('a')));
      expect(stage.state(topic)?.isr).toEqual(ALL);
    });

    describe('and has lost something', () => {
      const KEY = 'orders/0';

      it('leaves them again when it is named there before it has everything, also after another restart', async () => {
        disks.get('b')!.damaged.add(KEY);
        for (const id of ['a', 'c']) stage.node(id).link.isReachable = false;
        await restart('b');
        await restart('b');
        await stage.assign(topic, { isr: ALL });
        await stage.pass(500);
        expect(stage.state(topic)?.isr).toEqual(['a', 'c']);
        expect(calls('b')).not.toContain(`whole ${KEY}`);
        for (const id of ['a', 'c']) stage.node(id).link.isReachable = true;
        await stage.pass(3000);
        expect(calls('b').at(-1)).toBe(`whole ${KEY}`);
        expect(stage.state(topic)?.isr).toEqual(ALL);
      });

      it('is in sync at once at the next start when it was whole before', async () => {
        disks.get('b')!.damaged.add(KEY);
        await restart('b');
        await stage.pass(3000);
        stage.node('b').told.length = 0;
        await restart('b');
        expect(stage.node('b').told).not.toContain('lost orders');
        expect(stage.state(topic)?.isr).toEqual(ALL);
      });

      it('fetches again what lies behind a gap', async () => {
        const log = disks.get('b')!.there.get(KEY)!;
        const last = log.read(2, 3, 1e6)[0]!;
        log.truncate(1);
        log.append(last);
        disks.get('b')!.damaged.add(KEY);
        disks.get('b')!.gaps.set(KEY, 1);
        await restart('b');
        await stage.pass(3000);
        expect(bytesOf(at('b'))).toEqual(bytesOf(at('a')));
        expect(stage.state(topic)?.isr).toEqual(ALL);
      });

      it('fetches everything again when it has lost its beginning', async () => {
        const log = disks.get('b')!.there.get(KEY)!;
        const last = log.read(2, 3, 1e6)[0]!;
        log.reset(2);
        log.append(last);
        disks.get('b')!.damaged.add(KEY);
        disks.get('b')!.gaps.set(KEY, 0);
        await restart('b');
        await stage.pass(3000);
        expect([at('b').logStart, bytesOf(at('b'))]).toEqual([0, bytesOf(at('a'))]);
        expect(stage.state(topic)?.isr).toEqual(ALL);
      });

      it('keeps what lies behind a gap, and is whole, when nobody else is in sync', async () => {
        await stage.assign(topic, { isr: ['a'] });
        disks.get('a')!.damaged.add(KEY);
        disks.get('a')!.gaps.set(KEY, 1);
        await restart('a');
        expect(at('a')).toMatchObject({ role: 'leader', logEnd: 3 });
        expect(calls('a').at(-1)).toBe(`whole ${KEY}`);
      });
    });

    describe('where it became no replica while the node was down', () => {
      const changeWhileDown = async (change: () => Promise<void>): Promise<void> => {
        await stage.crash('c');
        await change();
        await stage.start('c', { logs: disks.get('c')! });
        await stage.settle();
      };

      it('is removed', async () => {
        await changeWhileDown(() => stage.assign(topic, { replicas: ['a', 'b'], isr: ['a', 'b'] }));
        expect(calls('c').at(-1)).toBe('remove orders/0');
        expect(stage.node('c').replicas.get(topic.id, 0)).toBeUndefined();
      });

      it('stays where no other node is known to have it', async () => {
        await changeWhileDown(() => stage.assign(topic, { replicas: ['a', 'b'], isr: [], leader: null }));
        expect(calls('c')).toEqual(['begin orders/0']);
        await changeWhileDown(() => {
          const key = `/sluice/c/partitions/${topic.id}/0`;
          stage.etcd.transact([], [remove(key)], []);
          return stage.settle();
        });
        expect(calls('c')).toEqual(['begin orders/0']);
      });
    });

    it('refuses when nobody else is in sync and the log is missing', async () => {
      await stage.assign(topic, { isr: ['a'] });
      disks.get('a')!.there.clear();
      await restart('a');
      expect(stage.node('a').told).toEqual(['lost orders', 'failed orders STORAGE_FAILED']);
      await stage.pass(5000);
      expect(calls('a')).toEqual(['begin orders/0']);
      expect(stage.state(topic)?.isr).toEqual(['a']);
    });

    it('begins anew then when the topic allows an unclean election', async () => {
      await stage.assign(topic, { isr: ['a'] });
      await stage.node('b').coordinator.alterTopic('orders', { settings: { uncleanElection: true } });
      disks.get('a')!.there.clear();
      await restart('a');
      expect(at('a')).toMatchObject({ role: 'leader', logEnd: 0 });
      await stage.pass(2000);
      expect(at('b').logEnd).toBe(0);
    });

    it('removes the log where the node is no replica any more', async () => {
      await stage.assign(topic, { replicas: ['a', 'b'], isr: ['a', 'b'] });
      expect(calls('c').at(-1)).toBe('remove orders/0');
      await stage.assign(topic, { replicas: ALL });
      await stage.pass(2000);
      expect(calls('c').at(-1)).toBe('begin orders/0');
      expect(bytesOf(at('c'))).toEqual(bytesOf(at('a')));
    });

    it('keeps the log when only the state is gone', async () => {
      const key = `/sluice/c/partitions/${topic.id}/0`;
      stage.etcd.transact([], [remove(key)], []);
      await stage.settle();
      expect(stage.node('a').replicas.ofTopic(topic.id)).toEqual([]);
      expect(calls('a')).toEqual(['begin orders/0']);
      await stage.assign(topic, { replicas: ALL, leader: 'b', isr: ALL });
      expect(at('b')).toMatchObject({ role: 'leader', logEnd: 3 });
    });

    it.each([0, 40])(
      'keeps that of a topic that is there again before it could be removed, after %d turns',
      async (count) => {
        const key = '/sluice/c/topics/orders';
        const known = Buffer.from(JSON.stringify(stage.etcd.json(key)));
        if (count > 0) disks.get('a')!.removeError = new SluiceError('STORAGE_FAILED', 'busy');
        stage.etcd.transact([], [remove(key)], []);
        await turns(count);
        stage.etcd.transact([], [put(key, known)], []);
        await stage.settle();
        disks.get('a')!.removeError = undefined;
        await stage.pass(60_000);
        expect([calls('a'), at('a').logEnd]).toEqual([['begin orders/0', 'open orders/0'], 3]);
      },
    );

    it('goes on when the coordinator was set back to an older state', async () => {
      const key = `/sluice/c/partitions/${topic.id}/0`;
      await stage.assign(topic, { leader: 'b' });
      await stage.assign(topic, { leader: 'a' });
      const old = { replicas: ALL, leader: 'b', leaderEpoch: 1, isr: ALL, change: 'old' };
      stage.node('c').link.isUp = false;
      await stage.pass(500);
      stage.etcd.transact([], [remove(key)], []);
      stage.etcd.transact([], [put(key, Buffer.from(JSON.stringify(old)))], []);
      stage.etcd.compact();
      stage.node('c').link.isUp = true;
      await stage.pass(5000);
      expect(at('c')).toMatchObject({ role: 'follower', leaderEpoch: 2, logEnd: 3 });
    });
  });

  it('takes over what is altered', async () => {
    await stage.assign(topic, { replicas: ALL, leader: 'a', isr: ALL });
    await stage.node('b').coordinator.alterTopic('orders', { settings: { minInsync: 3 } });
    await stage.assign(topic, { isr: ['a', 'b'] });
    expect(() => at('a').append(batchOf(1), 2)).toThrow(
      expect.objectContaining({ code: 'NOT_ENOUGH_REPLICAS' }),
    );
  });
});

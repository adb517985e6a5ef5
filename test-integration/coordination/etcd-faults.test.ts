/** etcd, or the way to it, in trouble. */
import { setTimeout as pause } from 'node:timers/promises';
import { Etcd3 } from 'etcd3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TopicChange } from '../../src/coordination/coordinator.ts';
import type {
  EtcdCoordinator,
  EtcdCoordinatorOptions,
} from '../../src/coordination/etcd/etcd-coordinator.ts';
import type { Clock } from '../../src/kernel/clock.ts';
import { systemClock } from '../../src/kernel/system-clock.ts';
import { EtcdServer } from '../support/etcd-server.ts';
import { eventually } from '../support/eventually.ts';
import { TcpRelay } from '../support/tcp-relay.ts';
import { ClusterStage, LEASE_TTL_MS, RecordingCandidate, newTopic } from './stage.ts';

const coded = (code: string): Error => expect.objectContaining({ code }) as Error;
const MIB = 1024 * 1024;

let resources: AsyncDisposableStack;
beforeEach(() => {
  resources = new AsyncDisposableStack();
});
afterEach(() => resources.disposeAsync());

interface Stage {
  readonly etcd: EtcdServer;
  readonly stage: ClusterStage;
  readonly relay: TcpRelay;
  /** Reaches etcd through the relay. */
  readonly a: EtcdCoordinator;
  /** What was told of the lease of `a`. */
  readonly told: string[];
}

async function open(
  options: Partial<EtcdCoordinatorOptions> = {},
  flags: readonly string[] = [],
): Promise<Stage> {
  const etcd = resources.use(await EtcdServer.start({ flags }));
  const relay = resources.use(await TcpRelay.to(etcd.clientPort));
  const stage = resources.use(new ClusterStage(etcd.endpoint));
  const a = await stage.open('a', { endpoints: [`http://127.0.0.1:${relay.port}`], ...options });
  const told: string[] = [];
  a.cluster.onLeaseLost(() => told.push('lost'));
  a.cluster.onLeaseGained(() => told.push('gained'));
  return { etcd, stage, relay, a, told };
}

/** A topic whose partition 0 is led by `a`. */
async function led(a: EtcdCoordinator): Promise<string> {
  const { id } = await a.createTopic(newTopic('t'));
  await a.cluster.updatePartition(id, 0, 0, { replicas: ['a'], leader: 'a', leaderEpoch: 0, isr: ['a'] });
  await a.claimPartition(id, 0);
  return id;
}

/** What is refused to a node that is no member, by code. */
async function refusals(a: EtcdCoordinator, id: string): Promise<readonly unknown[]> {
  const { revision, state } = a.cluster.partitionState(id, 0)!;
  const results = await Promise.allSettled([
    a.cluster.updatePartition(id, 0, revision, state),
    a.claimPartition(id, 0),
    a.reserveOffsets(id, 0, 5),
    a.cluster.announce({ zone: 'x' }),
  ]);
  return results.map((one) =>
    one.status === 'rejected' ? (one.reason as { code: string }).code : one.value,
  );
}

const ALL_REFUSED = ['UNAVAILABLE', 'UNAVAILABLE', 'UNAVAILABLE', 'UNAVAILABLE'];

describe('a lease that is lost', () => {
  it('because etcd is gone is told once, and all that needs it is refused at once', async () => {
    const { etcd, a, told } = await open();
    const id = await led(a);
    const candidate = new RecordingCandidate(a.cluster);
    await eventually('controller', () => candidate.term !== undefined);
    await etcd.kill();
    const killedMs = performance.now();
    await eventually('lost', () => told.length > 0, 2 * LEASE_TTL_MS);
    expect(performance.now() - killedMs).toBeLessThan(LEASE_TTL_MS + 500);
    const refusedMs = performance.now();
    expect([a.cluster.leaseHeld, candidate.told.at(-1), await refusals(a, id)]).toEqual([
      false,
      'lost',
      ALL_REFUSED,
    ]);
    expect(performance.now() - refusedMs).toBeLessThan(500);
    expect(a.topic('t')?.id).toBe(id);
    await etcd.restart();
    await eventually('a member again', () => a.cluster.leaseHeld && candidate.term !== undefined);
    expect([told, (await a.claimPartition(id, 0)).leaderEpoch]).toEqual([['lost', 'gained'], 2]);
    // What could not be announced meanwhile.
    expect(a.cluster.nodes()[0]?.zone).toBe('x');
  });

  it('because etcd is frozen is gained again when that goes on, in a session of its own', async () => {
    const { etcd, a, told } = await open();
    const { session } = a.cluster.nodes()[0]!;
    etcd.freeze();
    await eventually('lost', () => told.length > 0, 2 * LEASE_TTL_MS);
    etcd.thaw();
    await eventually('a member again', () => (a.cluster.nodes()[0]?.session ?? session) !== session);
    expect(told).toEqual(['lost', 'gained']);
  });

  it('because the node was frozen is known at once when it wakes, before any timer', async () => {
    const { a, told } = await open();
    const id = await led(a);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LEASE_TTL_MS + 500);
    const refused = refusals(a, id);
    expect([a.cluster.leaseHeld, told]).toEqual([false, []]);
    expect(await refused).toEqual(ALL_REFUSED);
    await eventually('a member again', () => told.length === 2);
    expect(told).toEqual(['lost', 'gained']);
  });

  it('and believed to be held by a clock that goes wrong is refused by etcd', async () => {
    const slow: Clock = {
      ...systemClock,
      monotonicMs: () => systemClock.monotonicMs() / 20,
      // Those that matter for the lease; the others are for calls.
      setTimer: (delayMs, callback) =>
        systemClock.setTimer(delayMs > 1000 ? 20 * delayMs : delayMs, callback),
    };
    const { a, relay, stage } = await open({ clock: slow });
    const id = await led(a);
    const b = await stage.open('b');
    const before = a.cluster.partitionState(id, 0)!;
    relay.silence();
    await eventually('a gone', () => b.cluster.nodes().length === 1);
    const held = a.cluster.leaseHeld;
    const update = a.cluster.updatePartition(id, 0, before.revision, { ...before.state, leaderEpoch: 9 });
    const refused = expect(update).rejects.toThrow(coded('UNAVAILABLE'));
    relay.resume();
    await refused;
    expect([held, b.cluster.partitionState(id, 0)]).toEqual([true, before]);
  });

  it('because somebody removed the key of the node is told', async () => {
    const { a, stage, told } = await open();
    await stage.admin.delete().key(`${stage.prefix}nodes/a`);
    await eventually('a member again', () => told.length === 2 && a.cluster.nodes().length === 1);
    expect(told).toEqual(['lost', 'gained']);
  });
});

describe('an etcd that restarts', () => {
  it('costs no lease and no change that is under way', async () => {
    const { etcd, a, stage, told } = await open({ leaseTtlMs: 5000 });
    await a.createTopic(newTopic('before'));
    await etcd.kill();
    const change = a.createTopic(newTopic('during'));
    await etcd.restart();
    await change;
    await a.createTopic(newTopic('after'));
    expect(a.topics().map(({ name }) => name)).toEqual(['after', 'before', 'during']);
    expect([told, a.cluster.leaseHeld, stage.events]).toEqual([[], true, ['a stalled', 'a flowing']]);
  });

  it('on an older copy of its data is read anew', async () => {
    const { etcd, a } = await open();
    await a.createTopic(newTopic('kept'));
    await etcd.kill();
    etcd.backUp();
    await etcd.restart();
    for (let index = 0; index < 30; index++) await a.createTopic(newTopic(`lost-${index}`, 1));
    await etcd.kill();
    etcd.restore();
    await etcd.restart();
    await eventually('the older state', () => a.topics().length === 1);
    await eventually('a member again', () => a.cluster.leaseHeld && a.cluster.nodes().length === 1);
    await expect(a.createTopic(newTopic('new'))).resolves.toMatchObject({ name: 'new' });
  });
});

describe('a way to etcd that', () => {
  it('is slow costs no lease', async () => {
    const { relay, a, told } = await open();
    relay.delayMs = 150;
    const topics = Array.from({ length: 20 }, (_, index) => a.createTopic(newTopic(`t${index}`)));
    await Promise.all([...topics, pause(3 * LEASE_TTL_MS)]);
    expect([told, a.topics().length, a.cluster.leaseHeld]).toEqual([[], 20, true]);
  });

  it('is silent for less than the lease costs nothing', async () => {
    const { relay, a, told } = await open({ leaseTtlMs: 5000 });
    relay.silence();
    const change = a.createTopic(newTopic('t'));
    await pause(1000);
    relay.resume();
    await change;
    expect([told, a.cluster.leaseHeld]).toEqual([[], true]);
  });

  it('is silent for longer than the lease fails changes, and reads go on', async () => {
    const { relay, a, stage, told } = await open({ callTimeoutMs: 500, changeTimeoutMs: 1500 });
    const b = await stage.open('b');
    await a.createTopic(newTopic('before'));
    relay.silence();
    await expect(a.createTopic(newTopic('during'))).rejects.toMatchObject({
      code: expect.stringMatching(/^(TIMEOUT|UNAVAILABLE)$/) as string,
    });
    await eventually('a gone', () => b.cluster.nodes().length === 1);
    await b.createTopic(newTopic('by-b'));
    expect([a.cluster.leaseHeld, a.topics().map(({ name }) => name)]).toEqual([false, ['before']]);
    relay.resume();
    await eventually('a back', () => a.cluster.leaseHeld && a.topic('by-b') !== undefined);
    expect(told).toEqual(['lost', 'gained']);
  });

  it('breaks again and again loses no change', async () => {
    const { relay, a, stage } = await open({ leaseTtlMs: 10_000 });
    const b = await stage.open('b', { leaseTtlMs: 10_000 });
    const seen: string[] = [];
    a.watchTopics(({ topic }) => seen.push(topic.name));
    for (let index = 0; index < 200; index++) {
      if (index % 5 === 0) relay.cut();
      await b.createTopic(newTopic(`t${index}`, 1));
    }
    await eventually('all', () => seen.length >= 200);
    expect(seen).toEqual(Array.from({ length: 200 }, (_, index) => `t${index}`));
  });

  it('is gone while etcd is compacted ends in one reading that tells what is different', async () => {
    const { relay, a, stage } = await open({ leaseTtlMs: 10_000 });
    const b = await stage.open('b', { leaseTtlMs: 10_000 });
    for (const name of ['same', 'deleted', 'altered', 'replaced']) await b.createTopic(newTopic(name));
    await eventually('all of them', () => a.topics().length === 4);
    const changes: TopicChange[] = [];
    a.watchTopics((change) => changes.push(change));
    relay.silence();
    relay.cut();
    await b.deleteTopic('deleted');
    await b.alterTopic('altered', { partitions: 7 });
    await b.deleteTopic('replaced');
    await b.createTopic(newTopic('replaced'));
    await b.createTopic(newTopic('created'));
    const { header } = await stage.admin.get('x').exec();
    await stage.admin.kv.compact({ revision: header.revision, physical: true });
    relay.cut();
    relay.resume();
    await eventually('the last one', () => a.topic('created') !== undefined);
    expect(changes.map(({ kind, topic }) => `${kind} ${topic.name}`)).toEqual([
      'deleted deleted',
      'altered altered',
      'deleted replaced',
      'created replaced',
      'created created',
    ]);
    expect(a.topics()).toEqual(b.topics());
    await eventually('the watch again', () => stage.events.at(-1) === 'a reread');
  });
});

describe('an etcd that is full', () => {
  it('refuses changes, keeps the lease and what can be read, and goes on when there is room again', async () => {
    const { etcd, a, stage, told } = await open({}, [`--quota-backend-bytes=${2 * MIB}`]);
    const id = await led(a);
    // With a client of its own: one that was refused for this reason refuses everything for some seconds.
    const filler = new Etcd3({ hosts: etcd.endpoint });
    const filling = async (): Promise<void> => {
      for (;;) await filler.put('ballast').value('x'.repeat(MIB / 8));
    };
    await expect(filling()).rejects.toThrow('database space exceeded');
    filler.close();
    await expect(a.createTopic(newTopic('more'))).rejects.toThrow(coded('STORAGE_FULL'));
    await expect(a.reserveOffsets(id, 0, 5)).rejects.toThrow(coded('STORAGE_FULL'));
    await pause(2 * LEASE_TTL_MS);
    expect([told, a.cluster.leaseHeld, a.topics().length]).toEqual([[], true, 1]);
    await stage.admin.delete().key('ballast');
    const { header } = await stage.admin.get('x').exec();
    await stage.admin.kv.compact({ revision: header.revision, physical: true });
    await stage.admin.maintenance.defragment();
    const { alarms } = await stage.admin.maintenance.alarm({ action: 'Get' });
    for (const { memberID, alarm } of alarms)
      await stage.admin.maintenance.alarm({ action: 'Deactivate', memberID, alarm });
    await a.createTopic(newTopic('more'));
    await a.reserveOffsets(id, 0, 5);
  });
});

describe('an etcd that is not there', () => {
  it('lets no node start, and the error says what to look at', async () => {
    const etcd = await EtcdServer.start();
    await etcd[Symbol.asyncDispose]();
    const stage = resources.use(new ClusterStage(etcd.endpoint));
    await expect(stage.open('a', { changeTimeoutMs: 1000 })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('cluster.etcd.endpoints') as string,
    });
  });

  it('as one of several endpoints is done without', async () => {
    const { etcd, stage } = await open();
    const gone = await EtcdServer.start();
    await gone[Symbol.asyncDispose]();
    const b = await stage.open('b', { endpoints: [gone.endpoint, etcd.endpoint] });
    for (let index = 0; index < 20; index++) await b.createTopic(newTopic(`t${index}`, 1));
    expect(b.cluster.leaseHeld).toBe(true);
  });
});

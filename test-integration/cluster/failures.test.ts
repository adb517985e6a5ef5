/** Three nodes that are killed, frozen, restarted and cut off while it is published to them and read from them. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ClusterStage } from './stage.ts';
import { PATIENCE, Trial, untilInSync } from './trial.ts';

const ALL = ['n1', 'n2', 'n3'];
/** The default. */
const LEASE_TTL_MS = 3000;
/** From the end of a lease until publishing goes on. */
const ELECTION_MS = 2000 * PATIENCE;
/** While a node is stopped in order. */
const HAND_OVER_MS = 500 * PATIENCE;

describe('a cluster under load', () => {
  let stage: ClusterStage;
  beforeAll(async () => {
    stage = await ClusterStage.start({ env: { SLUICE_CLUSTER_LEASE_TTL: `${LEASE_TTL_MS}ms` } });
  });
  afterAll(() => stage[Symbol.asyncDispose]());
  beforeEach(() => untilInSync(stage));

  it('keeps its promises when a leader is killed, and publishing goes on soon after its lease', async () => {
    const trial = await Trial.start(stage, 'killed');
    const { process } = await trial.leader();
    const atMs = performance.now();
    await process.kill('SIGKILL');
    await trial.more(20);
    await process.restart();
    await untilInSync(stage);
    await trial.more(20);
    const outcome = await trial.end();
    expect(outcome.longestPauseMs(atMs)).toBeLessThan(LEASE_TTL_MS + ELECTION_MS);
  });

  it.each([
    ['frozen', 'give up soon', undefined],
    ['frozen-patient', 'are as patient as they are by default', {}],
    ['frozen-tls', 'are patient and cannot use UDP', { scheme: 'tls' as const }],
  ])(
    'keeps its promises when a leader is frozen for longer than its lease (%s), with clients that %s',
    async (name, _, clients) => {
      const trial = await Trial.start(stage, name, clients && { clients });
      const { process } = await trial.leader();
      const atMs = performance.now();
      process.freeze();
      await trial.more(20);
      await pause(LEASE_TTL_MS);
      process.thaw();
      await untilInSync(stage);
      await trial.more(20);
      const outcome = await trial.end();
      expect(outcome.longestPauseMs(atMs)).toBeLessThan(LEASE_TTL_MS + ELECTION_MS);
    },
  );

  it('has topics in memory that go on, empty, when all nodes were killed at once', async () => {
    const name = 'forgotten';
    const settings = { storage: 'memory' as const, replicationFactor: 3, minInsync: 2 };
    const before = await stage.connect();
    await before.admin.createTopic({ name, partitions: 6, settings });
    const producer = before.producer({ acks: 'all' });
    for (let n = 0; n < 60; n++) await producer.send({ topic: name, value: `${n}` });
    await before.close();
    await Promise.all(stage.nodes.map(({ process }) => process.kill('SIGKILL')));
    await Promise.all(stage.nodes.map(({ process }) => process.restart()));
    await stage.untilMembers(ALL);
    await untilInSync(stage);
    const after = await stage.connect();
    const { offset } = await after
      .producer({ acks: 'all' })
      .send({ topic: name, partition: 0, value: 'more' });
    expect(offset).toBeGreaterThan(10);
    await after.admin.deleteTopic(name);
  });

  it('keeps its promises when the controller is killed, and another one takes over', async () => {
    const trial = await Trial.start(stage, 'headless');
    const { controllerId } = await stage.status('n1');
    const { process } = stage.node(controllerId!);
    const other = ALL.find((nodeId) => nodeId !== controllerId)!;
    await process.kill('SIGKILL');
    await trial.more(20);
    expect((await stage.status(other)).controllerId).not.toBe(controllerId);
    await process.restart();
    await untilInSync(stage);
    expect((await trial.end()).longestPauseMs()).toBeLessThan(2 * LEASE_TTL_MS + ELECTION_MS);
  });

  it('goes on without a pause when etcd is started again at once', async () => {
    const trial = await Trial.start(stage, 'etcd-restarted');
    const [etcd] = stage.etcd;
    await etcd!.kill();
    await etcd!.restart();
    await trial.more(100);
    expect((await trial.end()).longestPauseMs()).toBeLessThan(LEASE_TTL_MS);
  });

  it('acknowledges nothing while etcd is away for longer than the leases, and goes on when it is back', async () => {
    const trial = await Trial.start(stage, 'etcd-away');
    const [etcd] = stage.etcd;
    await etcd!.kill();
    await pause(LEASE_TTL_MS + 2000);
    await etcd!.restart();
    const backMs = performance.now();
    await trial.more(20);
    await untilInSync(stage);
    const outcome = await trial.end();
    expect(outcome.longestPauseMs()).toBeGreaterThan(1000);
    expect(outcome.longestPauseMs(backMs)).toBeLessThan(LEASE_TTL_MS + ELECTION_MS);
  });

  it('hardly pauses while one node after the other is stopped and started again', async () => {
    const trial = await Trial.start(stage, 'rolled');
    for (const { nodeId, process } of stage.nodes) {
      expect([nodeId, await process.kill('SIGTERM')]).toEqual([nodeId, 0]);
      await process.restart();
      await stage.untilMembers(ALL);
      await untilInSync(stage);
    }
    await trial.more(20);
    expect((await trial.end()).longestPauseMs()).toBeLessThan(HAND_OVER_MS);
  });
});

/** Partitions of a cluster as clients and administrators meet them, at whatever node they are. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClusterNode, PartitionDescription, TopicDescription } from '../../src/client/index.ts';
import { eventually } from '../support/eventually.ts';
import { ClusterStage } from './stage.ts';
import { PATIENCE, Trial, untilInSync } from './trial.ts';

const ALL = ['n1', 'n2', 'n3'];

describe('partitions of three nodes', () => {
  let stage: ClusterStage;
  beforeAll(async () => {
    stage = await ClusterStage.start();
  });
  afterAll(() => stage[Symbol.asyncDispose]());

  const leadersOf = (partitions: readonly PartitionDescription[]): string[] =>
    [...new Set(partitions.map(({ leaderNodeId }) => leaderNodeId))].sort();

  it('are shown with leader, epoch, copies and who is in sync, alike at every node', async () => {
    const flags = ['--partitions', '6', '--replication-factor', '3', '--min-insync', '2', '-o', 'json'];
    expect((await stage.sluice(['topic', 'create', 'shown', ...flags])).exitCode).toBe(0);
    await untilInSync(stage);
    const [first, ...others] = (await Promise.all(
      ALL.map((nodeId) => stage.json(['topic', 'describe', 'shown'], [nodeId])),
    )) as TopicDescription[];
    expect(leadersOf(first!.partitions)).toEqual(ALL);
    for (const { leaderNodeId, leaderEpoch, replicas, isr, error } of first!.partitions) {
      expect([[...replicas].sort(), [...isr].sort(), error]).toEqual([ALL, ALL, undefined]);
      expect(replicas[0]).toBe(leaderNodeId);
      expect(leaderEpoch).toBeGreaterThan(0);
    }
    for (const other of others) expect(other).toEqual(first);
    const { stdout } = await stage.sluice(['topic', 'describe', 'shown']);
    expect(stdout).toMatch(/^PARTITION +LEADER +EPOCH +REPLICAS +IN SYNC/m);
    expect(stdout).toMatch(/^ *0 +n[123] +\d+ +n[123],n[123],n[123] +n[123],n[123],n[123] +0 +0/m);
  });

  it('take what is published at any node, and say everywhere where their logs end', async () => {
    const { admin } = await stage.connect();
    // Nodes draw lots for what is kept once: so many that each gets some.
    const settings = { replicationFactor: 1, minInsync: 1, storage: 'disk' } as const;
    await admin.createTopic({ name: 'forwarded', partitions: 24, settings });
    const { partitions } = await admin.describeTopic('forwarded');
    expect(leadersOf(partitions)).toEqual(ALL);
    for (const nodeId of ALL) {
      const producer = (await stage.connect([nodeId], { direct: false })).producer();
      const sent = partitions.flatMap(({ partition }) =>
        ['a', 'b'].map((value) => producer.send({ topic: 'forwarded', partition, value })),
      );
      const offsets = (await Promise.all(sent)).map(({ offset }) => offset!);
      const first = 2 * ALL.indexOf(nodeId);
      expect(offsets).toEqual(partitions.flatMap(() => [first, first + 1]));
    }
    for (const nodeId of ALL) {
      const { admin: there } = await stage.connect([nodeId]);
      const described = (await there.describeTopic('forwarded')).partitions;
      expect(described.map(({ logEnd, highWatermark }) => [logEnd, highWatermark])).toEqual(
        partitions.map(() => [6, 6]),
      );
      const latest = await there.listOffsets('forwarded', 'latest');
      expect(latest.map(({ offset }) => offset)).toEqual(partitions.map(() => 6));
    }
    const { admin: second } = await stage.connect(['n2']);
    await second.deleteRecords('forwarded', 4);
    for (const nodeId of ALL) {
      const { admin: there } = await stage.connect([nodeId]);
      const earliest = await there.listOffsets('forwarded', 'earliest');
      expect(earliest.map(({ offset }) => offset)).toEqual(partitions.map(() => 4));
    }
    // What is kept once cannot leave a node, which a later test wants.
    await admin.deleteTopic('forwarded');
  });

  it.each([1, 2])('are read at nodes that hold no copy, with replication factor %i', async (copies) => {
    const trial = await Trial.start(stage, `observed-${copies}`, {
      settings: { replicationFactor: copies, minInsync: 1 },
      subscribers: 3,
    });
    await trial.more(50);
    await trial.end();
  });

  it('go on being read at a node without a copy when their leader is killed', async () => {
    await untilInSync(stage);
    const trial = await Trial.start(stage, 'observed-through', {
      settings: { replicationFactor: 2, minInsync: 1 },
      subscribers: 3,
    });
    const { process } = await trial.leader();
    await process.kill('SIGKILL');
    await trial.more(20);
    await process.restart();
    await untilInSync(stage);
    await trial.more(20);
    await trial.end();
  });

  it('of which there is one copy stay with a node that is drained, which is said at once', async () => {
    const { admin } = await stage.connect(['n1']);
    // So many that n2 gets some: nodes draw lots for what is kept once.
    await admin.createTopic({ name: 'once', partitions: 24, settings: { replicationFactor: 1 } });
    await untilInSync(stage);
    const startedMs = performance.now();
    const drain = await stage.sluice(['cluster', 'drain', 'n2']);
    expect(performance.now() - startedMs).toBeLessThan(20_000 * PATIENCE);
    expect([drain.exitCode, drain.stdout]).toEqual([6, '']);
    expect(drain.stderr).toMatch(/n2 leads of once \(\d+ partitions?\)/);
    expect(drain.stderr).toContain('sluice: ONLY_COPY: ');
    await admin.alterTopic({ name: 'once', settings: { replicationFactor: 2 } });
    await eventually('a second copy of each is in sync', async () =>
      (await admin.describeTopic('once')).partitions.every(({ isr }) => isr.length === 2),
    );
    expect(await stage.sluice(['cluster', 'drain', 'n2'])).toMatchObject({ exitCode: 0, stderr: '' });
    expect((await stage.sluice(['cluster', 'drain', 'n2', '--cancel'])).exitCode).toBe(0);
    await admin.deleteTopic('once');
  });

  it('leave a node that is drained, and spread over all nodes when that is asked for', async () => {
    await untilInSync(stage);
    const trial = await Trial.start(stage, 'drained');
    const look = async (nodeId: string): Promise<ClusterNode> =>
      (await stage.status('n1')).nodes.find((node) => node.nodeId === nodeId)!;
    const drain = await stage.sluice(['cluster', 'drain', 'n3']);
    expect([drain.stderr, drain.stdout]).toEqual(['', 'n3 leads nothing any more\n']);
    expect((await look('n3')).leads).toBe(0);
    await trial.more(20);
    expect((await stage.sluice(['cluster', 'drain', 'n3', '--cancel'])).exitCode).toBe(0);

    await stage.add('n4');
    await stage.untilMembers([...ALL, 'n4']);
    expect((await stage.sluice(['cluster', 'rebalance'])).exitCode).toBe(0);
    // A node leads again what it is preferred for after half a minute.
    await eventually(
      'n3 and n4 have their share',
      () => hasShare('n3').then(async (has) => has && hasShare('n4')),
      60_000,
    );
    await trial.more(20);
    await untilInSync(stage);
    expect((await stage.status('n1')).rebalancing).toBe(false);
    expect((await trial.end()).longestPauseMs()).toBeLessThan(500 * PATIENCE);

    async function hasShare(nodeId: string): Promise<boolean> {
      const { leads, replicas, outOfSync } = await look(nodeId);
      return leads > 0 && replicas > 0 && outOfSync === 0;
    }
  });
});

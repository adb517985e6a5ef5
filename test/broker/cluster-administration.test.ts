import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AccessControl } from '../../src/broker/access-control.ts';
import { ClusterAdministration } from '../../src/broker/cluster-administration.ts';
import type { ClusterControl } from '../../src/broker/ports.ts';
import type { ClusterNode, PartitionState } from '../../src/coordination/cluster.ts';
import type { Coordinator } from '../../src/coordination/coordinator.ts';
import { SingleNode } from '../../src/coordination/embedded/single-node.ts';
import { ALICE, BOB, TestBroker } from './fixture.ts';

const coded = (code: string): Error => expect.objectContaining({ code }) as Error;
const member = (nodeId: string): ClusterNode => ({
  nodeId,
  session: '1',
  clientUrls: [],
  peerAddress: null,
  zone: '',
  capacity: 1,
  software: '',
  draining: false,
});
const STATES: readonly PartitionState[] = [
  { replicas: ['a', 'b'], leader: 'a', leaderEpoch: 1, isr: ['a'] },
  { replicas: ['b', 'a'], leader: 'b', leaderEpoch: 1, isr: ['b', 'a'] },
  { replicas: ['a'], leader: null, leaderEpoch: 1, isr: ['a'] },
  { replicas: ['a'], leader: 'a', leaderEpoch: 1, isr: ['a'] },
];

/** Node a of a cluster of two. */
function administration(control?: ClusterControl): ClusterAdministration {
  const topics = { nodeId: 'a', topics: () => [], watchTopics: () => () => undefined };
  const cluster = Object.assign(new SingleNode(topics, 1), {
    nodes: () => [member('a'), member('b')],
    partitionStates: () =>
      STATES.map((state, partition) => ({ topicId: 't', partition, state, revision: 1 })),
  });
  const named = [
    { id: 't', name: 'orders' },
    { id: 'u', name: 'logs' },
  ];
  const coordinator = {
    ...{ nodeId: 'a', clusterId: 'c', cluster },
    topics: () => named,
  } as unknown as Coordinator;
  const access = new AccessControl({
    allows: ({ name }, operation) => name === 'alice' && operation === 'admin',
  });
  return new ClusterAdministration(coordinator, access, control);
}

describe('administration of a cluster', () => {
  it('counts what each member leads, has, and is behind with', () => {
    const status = administration().status(ALICE);
    expect(status).toMatchObject({
      clusterId: 'c',
      nodeId: 'a',
      partitions: 4,
      leaderless: 1,
      underReplicated: 1,
    });
    const shares = status.nodes.map((node) => [
      ...[node.nodeId, node.leads, node.replicas],
      ...[node.outOfSync, node.onlyCopies],
    ]);
    expect(shares).toEqual([
      ['a', 2, 4, 0, 1],
      ['b', 1, 2, 1, 0],
    ]);
    expect(status.nodes[0]).not.toHaveProperty('session');
  });

  it('has the node that is asked drain, and no other', async () => {
    const asked: boolean[] = [];
    const control = { drain: (draining: boolean) => Promise.resolve(void asked.push(draining)) };
    const cluster = administration({ ...control, rebalance: () => Promise.resolve() });
    expect(await cluster.drain(ALICE, 'a', true)).toEqual([{ topic: 'orders', partitions: 1 }]);
    expect(await cluster.drain(ALICE, 'a', false)).toEqual([]);
    await expect(cluster.drain(ALICE, 'b', true)).rejects.toThrow(coded('INVALID_ARGUMENT'));
    await expect(cluster.drain(ALICE, 'z', true)).rejects.toThrow(coded('NODE_NOT_FOUND'));
    expect(asked).toEqual([true, false]);
  });

  it('is for who administers nodes', async () => {
    const cluster = administration({ drain: () => Promise.resolve(), rebalance: () => Promise.resolve() });
    expect(() => cluster.status(BOB)).toThrow(coded('FORBIDDEN'));
    await expect(cluster.drain(BOB, 'a', true)).rejects.toThrow(coded('FORBIDDEN'));
    await expect(cluster.rebalance(BOB)).rejects.toThrow(coded('FORBIDDEN'));
  });
});

describe('a broker on its own', () => {
  let stage: TestBroker;
  beforeEach(async () => {
    stage = await TestBroker.open();
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  it('is a cluster of one that shares with nobody', async () => {
    const { broker } = stage;
    await broker.createTopic(ALICE, { name: 't', partitions: 3 });
    const { nodes, partitions, leaderless } = broker.cluster.status(ALICE);
    expect([nodes.map(({ leads }) => leads), partitions, leaderless]).toEqual([[3], 3, 0]);
    await expect(broker.cluster.rebalance(ALICE)).rejects.toThrow(coded('UNSUPPORTED'));
    await expect(broker.cluster.drain(ALICE, nodes[0]!.nodeId, true)).rejects.toThrow(coded('UNSUPPORTED'));
  });

  it('has the only copy of each partition', async () => {
    const { broker, coordinator } = stage;
    const { partitions } = await broker.createTopic(ALICE, { name: 't' });
    const { nodeId } = coordinator;
    expect(partitions[0]).toMatchObject({ leaderNodeId: nodeId, replicas: [nodeId], isr: [nodeId] });
  });
});

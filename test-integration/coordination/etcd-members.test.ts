/** An etcd of three members, of which some fail. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { EtcdCoordinator } from '../../src/coordination/etcd/etcd-coordinator.ts';
import { EtcdServer } from '../support/etcd-server.ts';
import { eventually } from '../support/eventually.ts';
import { ClusterStage, newTopic } from './stage.ts';

const LEASE_TTL_MS = 5000;

let members: readonly EtcdServer[];
let stage: ClusterStage;
let nodes: readonly EtcdCoordinator[];
let told: string[];

beforeEach(async () => {
  members = await EtcdServer.startMembers(3);
  stage = new ClusterStage(members[0]!.endpoint);
  const endpoints = members.map(({ endpoint }) => endpoint);
  nodes = await Promise.all(
    ['a', 'b', 'c'].map((id) => stage.open(id, { endpoints, leaseTtlMs: LEASE_TTL_MS })),
  );
  told = [];
  for (const { cluster, nodeId } of nodes) cluster.onLeaseLost(() => told.push(nodeId));
});
afterEach(async () => {
  await stage[Symbol.asyncDispose]();
  await Promise.all(members.map((member) => member[Symbol.asyncDispose]()));
});

/** Each node creates a topic, and all nodes see all of them. */
async function everybodyCreates(label: string): Promise<void> {
  await Promise.all(nodes.map((node) => node.createTopic(newTopic(`${label}-${node.nodeId}`, 1))));
  const expected = nodes.map(({ nodeId }) => `${label}-${nodeId}`);
  await eventually('everything everywhere', () =>
    nodes.every((node) => expected.every((name) => node.topic(name) !== undefined)),
  );
}

it('costs no lease and no change when one member after the other is killed and comes back', async () => {
  for (const [index, member] of members.entries()) {
    await member.kill();
    await everybodyCreates(`without-${index}`);
    await member.restart();
  }
  expect(told).toEqual([]);
});

it('costs no lease and no change when a member stops without a word', async () => {
  for (const member of members) {
    member.freeze();
    await everybodyCreates(`frozen-${member.clientPort}`);
    await pause(LEASE_TTL_MS);
    member.thaw();
    await pause(1000);
  }
  expect(told).toEqual([]);
});

it('ends all leases without a majority, and is gone on with when there is one', async () => {
  await everybodyCreates('before');
  await Promise.all(members.slice(1).map((member) => member.kill()));
  await eventually('all lost', () => told.length === 3, 3 * LEASE_TTL_MS);
  const failed = await Promise.allSettled(nodes.map((node) => node.createTopic(newTopic('without', 1))));
  expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  expect(nodes.map((node) => node.topics().length)).toEqual([3, 3, 3]);
  await members[1]!.restart();
  await eventually('all members again', () =>
    nodes.every(({ cluster }) => cluster.leaseHeld && cluster.nodes().length === 3),
  );
  await everybodyCreates('after');
});

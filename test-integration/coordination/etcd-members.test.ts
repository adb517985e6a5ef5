/** An etcd of three members, of which some fail. */
import { setTimeout as pause } from 'node:timers/promises';
import { Etcd3 } from 'etcd3';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { EtcdCoordinator } from '../../src/coordination/etcd/etcd-coordinator.ts';
import { NOT_RENEWED } from '../../src/coordination/etcd/membership.ts';
import { EtcdServer } from '../support/etcd-server.ts';
import { eventually } from '../support/eventually.ts';
import { ClusterStage, newTopic } from './stage.ts';

const LEASE_TTL_MS = 5000;
/** What a member of etcd says that knows of none. */
const NO_LEADER = '0';

let members: readonly EtcdServer[];
let stage: ClusterStage;
let nodes: readonly EtcdCoordinator[];
/** Why leases were lost. */
let lost: string[];

beforeEach(async () => {
  members = await EtcdServer.startMembers(3);
  stage = new ClusterStage(members[0]!.endpoint);
  const endpoints = members.map(({ endpoint }) => endpoint);
  nodes = await Promise.all(
    ['a', 'b', 'c'].map((id) => stage.open(id, { endpoints, leaseTtlMs: LEASE_TTL_MS })),
  );
  lost = [];
  for (const { cluster } of nodes) cluster.onLeaseLost((reason) => lost.push(reason));
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
  expect(lost).toEqual([]);
});

/** Waits until every node is a member, and is one for every other node. */
async function everybodyIsMember(withinMs?: number): Promise<void> {
  await eventually(
    'all members',
    () => nodes.every(({ cluster }) => cluster.leaseHeld && cluster.nodes().length === nodes.length),
    withinMs,
  );
}

/** Waits until all members of etcd name the same leader: one that was frozen may think for a while that it still is. */
async function oneLeader(): Promise<void> {
  await eventually('one leader of etcd', async () => {
    const leaders = await Promise.all(members.map(({ endpoint }) => leaderAt(endpoint)));
    return leaders[0] !== NO_LEADER && new Set(leaders).size === 1;
  });
}

/** Id of the member that leads, as far as the one at `endpoint` knows. */
async function leaderAt(endpoint: string): Promise<string> {
  const client = new Etcd3({ hosts: endpoint });
  try {
    return (await client.maintenance.status()).leader;
  } finally {
    client.close();
  }
}

it('costs no change and no lease for want of renewal when a member stops without a word', async () => {
  for (const member of members) {
    lost = [];
    member.freeze();
    await everybodyCreates(`frozen-${member.clientPort}`);
    await pause(LEASE_TTL_MS);
    expect(lost).toEqual([]);
    member.thaw();
    // An etcd before 3.5.13 may revoke leases now that are held (docs/operations.md).
    await oneLeader();
    await pause(1000);
    await everybodyIsMember(LEASE_TTL_MS);
    expect(lost).not.toContain(NOT_RENEWED);
  }
});

it('ends all leases without a majority, and is gone on with when there is one', async () => {
  await everybodyCreates('before');
  await Promise.all(members.slice(1).map((member) => member.kill()));
  await eventually('all lost', () => lost.length === 3, 3 * LEASE_TTL_MS);
  const failed = await Promise.allSettled(nodes.map((node) => node.createTopic(newTopic('without', 1))));
  expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  expect(nodes.map((node) => node.topics().length)).toEqual([3, 3, 3]);
  await members[1]!.restart();
  await everybodyIsMember();
  await everybodyCreates('after');
});

import { beforeEach, expect, it } from 'vitest';
import type { Candidate, Cluster } from '../../src/coordination/cluster.ts';
import type { Coordinator } from '../../src/coordination/coordinator.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { ClusterMember } from '../../src/node/cluster-member.ts';
import { joinCluster } from '../../src/node/cluster-member.ts';
import type { PeerServices } from '../../src/peer/ports.ts';
import { openPartition } from '../partition/fixture.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { EventLog } from './event-log.ts';

let steps: string[];
let parts: AsyncDisposableStack;
let log: EventLog;
let candidate: Candidate;
let services: PeerServices;
let member: ClusterMember;

beforeEach(async () => {
  steps = [];
  parts = new AsyncDisposableStack();
  log = new EventLog();
  const nothing = () => () => undefined;
  const cluster = {
    ...{ nodes: () => [], partitionStates: () => [], watchNodes: nothing, watchPartitions: nothing },
    rebalancing: { isRequested: false, watch: nothing },
    campaign: (given: Candidate) => {
      steps.push('stands');
      candidate = given;
      return { term: undefined, resign: () => Promise.resolve(void steps.push('resigned')) };
    },
  } as never as Cluster;
  const coordinator: Pick<Coordinator, 'nodeId' | 'topics' | 'watchTopics' | 'cluster'> = {
    ...{ nodeId: 'a', topics: () => [], watchTopics: nothing, cluster },
  };
  const peers = {
    listen: (given: PeerServices, stack: AsyncDisposableStack) => {
      services = given;
      steps.push('listens');
      stack.defer(() => void steps.push('let go of other nodes'));
      return Promise.resolve();
    },
  };
  const partition = openPartition();
  const groups = { coordinate: () => Promise.reject(new SluiceError('NOT_LEADER', 'not here')) } as never;
  const broker = { copy: (topicId: string) => (topicId === 't1' ? partition : undefined), groups };
  const announce = () => Promise.resolve(void steps.push('announced'));
  const observers = { relayed: () => undefined };
  const shared = { coordinator, broker, observers, self: { zone: '' }, clock: new FakeClock(), log };
  member = await joinCluster({ ...shared, peers }, announce, parts);
});

it('a node is announced once others can reach it, and stands for controller after that; it is none before they are let go', async () => {
  await parts.disposeAsync();
  expect(steps).toEqual(['listens', 'announced', 'stands', 'resigned', 'let go of other nodes']);
});

it('a node serves others with the copies of its broker', () => {
  const refs = ['t1', 't2'].map((topicId) => ({ topicId, partition: 0 }));
  expect(services.partitions.describe(refs)).toMatchObject([{ leaderEpoch: 7 }, { code: 'NOT_LEADER' }]);
});

it('a node that is elected says so, and is controller', () => {
  candidate.onElected(5);
  expect(log.lines).toEqual(['info controller.elected {"term":5}']);
  expect(member.controller.term).toBe(5);
});

/** One contract for both coordinators. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import type { Coordinator } from '../../src/coordination/coordinator.ts';
import { EmbeddedCoordinator } from '../../src/coordination/embedded/embedded.ts';
import { EtcdCoordinator } from '../../src/coordination/etcd/etcd-coordinator.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { systemClock } from '../../src/kernel/system-clock.ts';
import { FakeEtcd } from '../../test/support/fake-etcd.ts';
import { FakeEtcdStore, INSTANT_LINK } from '../../test/support/fake-etcd-store.ts';
import { EtcdServer } from '../support/etcd-server.ts';
import type { ContractStage } from './coordinator-contract.ts';
import { coordinatorContract } from './coordinator-contract.ts';
import { ClusterStage, DESCRIPTION } from './stage.ts';

/** A coordinator that is closed and opened again. */
async function reopened(
  open: () => Promise<Coordinator>,
  lead: (coordinator: Coordinator, topicId: string, partition: number) => Promise<unknown>,
  close: () => Promise<unknown>,
): Promise<ContractStage> {
  let coordinator = await open();
  return {
    get coordinator() {
      return coordinator;
    },
    restart: async () => {
      await coordinator[Symbol.asyncDispose]();
      coordinator = await open();
    },
    lead: async (topicId, partition) => {
      await lead(coordinator, topicId, partition);
    },
    [Symbol.asyncDispose]: async () => {
      await coordinator[Symbol.asyncDispose]();
      await close();
    },
  };
}

/** The node that asks leads the partition. */
function ledBy({ cluster, nodeId }: Coordinator, topicId: string, partition: number): Promise<unknown> {
  const state = { replicas: [nodeId], leader: nodeId, leaderEpoch: 0, isr: [nodeId] };
  return cluster.updatePartition(topicId, partition, 0, state);
}

describe('embedded', () => {
  coordinatorContract('an embedded coordinator', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'sluice-coordination-'));
    return reopened(
      () => EmbeddedCoordinator.open({ dataDir, clock: systemClock, random: systemRandom }),
      () => Promise.resolve(),
      () => rm(dataDir, { recursive: true, force: true }),
    );
  });
});

describe('etcd', () => {
  let etcd: EtcdServer;
  beforeAll(async () => {
    etcd = await EtcdServer.start();
  });
  afterAll(() => etcd[Symbol.asyncDispose]());

  coordinatorContract('an etcd coordinator', async () => {
    const stage = new ClusterStage(etcd.endpoint);
    return reopened(
      () => stage.open('a'),
      ledBy,
      () => stage[Symbol.asyncDispose](),
    );
  });
});

/** So that what the simulator shows of coordination holds for the real one. */
describe('fake etcd', () => {
  coordinatorContract('a coordinator on a fake of etcd', async () => {
    const etcd = new FakeEtcd(systemClock);
    const ports = { clock: systemClock, random: systemRandom };
    return reopened(
      () =>
        EtcdCoordinator.on(new FakeEtcdStore({ etcd, link: INSTANT_LINK, prefix: '/sluice/c/', ...ports }), {
          clusterName: 'c',
          nodeId: 'a',
          leaseTtlMs: 2000,
          description: DESCRIPTION,
          ...ports,
        }),
      ledBy,
      () => Promise.resolve(),
    );
  });
});

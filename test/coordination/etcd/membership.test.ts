import { expect, it } from 'vitest';
import type { NodeDescription } from '../../../src/coordination/cluster.ts';
import { EtcdCoordinator } from '../../../src/coordination/etcd/etcd-coordinator.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeEtcdStore, INSTANT_LINK } from '../../support/fake-etcd-store.ts';
import { FakeEtcd } from '../../support/fake-etcd.ts';
import { passTime } from '../../support/passing-time.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const KEY = '/sluice/c/nodes/a';
const AT_FIRST: NodeDescription = {
  ...{ clientUrls: [], peerAddress: null, zone: '', capacity: 1, software: '', draining: false },
};

/** Transactions set out only after `road`. */
class SlowStore extends FakeEtcdStore {
  road: Promise<unknown> = Promise.resolve();
  waiting = 0;

  override async transact(
    ...transaction: Parameters<FakeEtcdStore['transact']>
  ): ReturnType<FakeEtcdStore['transact']> {
    this.waiting += 1;
    await this.road;
    this.waiting -= 1;
    return super.transact(...transaction);
  }
}

it('a node says what it has announced while it was becoming a member again', async () => {
  const clock = new FakeClock();
  const etcd = new FakeEtcd(clock);
  const random = new SeededRandom(1);
  const store = new SlowStore({ etcd, link: INSTANT_LINK, prefix: '/sluice/c/', clock, random });
  const node = { clusterName: 'c', nodeId: 'a', description: AT_FIRST, clock, random };
  await using coordinator = await EtcdCoordinator.on(store, node);
  const { cluster } = coordinator;

  const road = Promise.withResolvers<undefined>();
  store.road = road.promise;
  const { session } = etcd.json(KEY) as { session: string };
  etcd.revoke(session);
  await passTime(clock, 500);
  expect([cluster.leaseHeld, store.waiting]).toEqual([false, 1]);
  await expect(cluster.announce({ clientUrls: ['quic://a'] })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  road.resolve(undefined);
  await passTime(clock, 1000);
  expect(cluster.leaseHeld).toBe(true);
  expect(etcd.json(KEY)).toMatchObject({ clientUrls: ['quic://a'] });
});

/**
 * Why only the calls of `etcd3` are used and not its Lease, Watcher, Election and fault handling (docs/adr/0007). A test that fails here
 * after an upgrade is good news: look at that document again.
 */
import { Etcd3 } from 'etcd3';
import type { Campaign } from 'etcd3';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { EtcdServer } from '../support/etcd-server.ts';
import { eventually } from '../support/eventually.ts';
import { TcpRelay } from '../support/tcp-relay.ts';

const TTL_SECONDS = 2;

let resources: AsyncDisposableStack;
let etcd: EtcdServer;
let relay: TcpRelay;
let direct: Etcd3;
let relayed: Etcd3;
beforeEach(async () => {
  resources = new AsyncDisposableStack();
  etcd = resources.use(await EtcdServer.start());
  relay = resources.use(await TcpRelay.to(etcd.clientPort));
  direct = client(etcd.endpoint);
  relayed = client(`http://127.0.0.1:${relay.port}`);
});
afterEach(() => resources.disposeAsync());

function client(hosts: string): Etcd3 {
  const one = new Etcd3({ hosts });
  resources.defer(() => one.close());
  return one;
}

it('Lease: who loses it is not told when others see it end', async () => {
  const lease = relayed.lease(TTL_SECONDS);
  let isTold = false;
  lease.on('lost', () => (isTold = true));
  await lease.put('key').value('x');
  relay.silence();
  await eventually('the key gone', async () => (await direct.get('key').string()) === null);
  expect([isTold, lease.revoked()]).toEqual([false, false]);
});

it('Election: two are elected at a time when the first cannot reach etcd', async () => {
  const states: string[] = [];
  const campaign = (one: Etcd3, name: string): Campaign => {
    const standing = one.election('test', TTL_SECONDS).campaign(name);
    standing.on('elected', () => states.push(`${name} elected`));
    standing.on('error', () => states.push(`${name} out`));
    return standing;
  };
  const first = campaign(relayed, 'first');
  await eventually('the first', () => states.length === 1);
  const second = campaign(direct, 'second');
  relay.silence();
  await eventually('the second', () => states.length === 2);
  expect(states).toEqual(['first elected', 'second elected']);
  relay.resume();
  await first.resign();
  await second.resign();
});

it('Watcher: a connection that breaks while it catches up loses changes', async () => {
  const total = 3000;
  const puts = Array.from({ length: total }, (_, index) => direct.put(`k/${index}`).value('x'.repeat(500)));
  await Promise.all(puts.map((one) => one.exec()));
  const watcher = relayed.watch().prefix('k/').startRevision('1').watcher();
  let seen = 0;
  let isCut = false;
  let last = '';
  watcher.on('put', ({ key }) => {
    seen++;
    last = key.toString();
  });
  watcher.on('disconnected', () => undefined);
  watcher.on('connected', () => {
    if (!isCut) relay.cut();
    isCut = true;
  });
  await eventually('a marker', async () => {
    await direct.put('k/marker').value('x');
    return last === 'k/marker';
  });
  expect(seen).toBeLessThan(total);
  await watcher.cancel();
});

it('fault handling: an etcd that is back is not asked for seconds', async () => {
  await direct.get('x');
  await etcd.kill();
  await Promise.allSettled([direct.get('x').exec(), direct.get('x').exec()]);
  await etcd.restart();
  await expect(direct.get('x').exec()).rejects.toThrow('circuit breaker is open');
});

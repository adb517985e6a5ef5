import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ClusterSettings } from '../../src/config/cluster-settings.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { systemClock } from '../../src/kernel/system-clock.ts';
import { Peers } from '../../src/node/peers.ts';
import { LocalServices } from '../../src/peer/local-services.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import type { GrpcTls } from '../../src/transport/grpc/grpc-tls.ts';
import { NodeAuthority } from '../support/node-certificates.ts';
import { FakeCluster, member } from './fake-cluster.ts';

const authority = await NodeAuthority.create();
const noReplicas = new LocalServices({ clock: systemClock, find: () => undefined }, undefined as never);
const tlsOf = { a: await authority.tls('a'), b: await authority.tls('b') };

describe('a node among others', () => {
  let folder: string;
  let cluster: FakeCluster;
  let parts: AsyncDisposableStack;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-peers-'));
    cluster = new FakeCluster([]);
    parts = new AsyncDisposableStack();
  });
  afterEach(async () => {
    await parts.disposeAsync();
    await rm(folder, { recursive: true });
  });

  const file = (nodeId: string, name: string): string => join(folder, `${nodeId}-${name}.pem`);

  async function put(nodeId: string, { identity, authoritiesPem }: GrpcTls): Promise<void> {
    await writeFile(file(nodeId, 'certificate'), identity.certificatePem);
    await writeFile(file(nodeId, 'key'), identity.privateKeyPem);
    await writeFile(file(nodeId, 'ca'), authoritiesPem);
  }

  async function open(nodeId: 'a' | 'b', change: Partial<ClusterSettings['peer']> = {}): Promise<Peers> {
    const settings: ClusterSettings = {
      name: 'main',
      etcd: { endpoints: [], caFile: null, certificateFiles: null, username: null, passwordFile: null },
      leaseTtlMs: 3000,
      zone: '',
      capacity: 1,
      peer: {
        listen: { host: '127.0.0.1', port: 0 },
        advertise: null,
        certificateFiles: { certificate: file(nodeId, 'certificate'), key: file(nodeId, 'key') },
        caFile: file(nodeId, 'ca'),
        ...change,
      },
    };
    const ports = { clock: systemClock, random: systemRandom, log: silentLogger };
    return parts.use(await Peers.open({ settings, nodeId, dataDir: folder, cluster, ...ports }));
  }

  it('is where it listens, and is asked there', async () => {
    await put('a', tlsOf.a);
    await put('b', tlsOf.b);
    const [a, b] = [await open('a'), await open('b')];
    expect(b.address).toBeNull();
    await b.listen(noReplicas, parts);
    cluster.members = [member('b', { peerAddress: b.address })];
    const [answer] = await a.client.describePartitions('b', [{ topicId: 't', partition: 0 }]);
    expect(answer).toMatchObject({ code: 'NOT_LEADER' });
    await expect(a.client.describePartitions('c', [])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('does not wait for a silent node any more once that is no member', async () => {
    await put('a', tlsOf.a);
    const { client } = await open('a');
    await using silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    cluster.members = [member('b', { peerAddress: `127.0.0.1:${port}` })];
    const asked = client.describePartitions('b', []);
    const refused = expect(asked).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(client.connections).toBe(1);
    cluster.leave('b');
    expect(client.connections).toBe(0);
    await refused;
  });

  it.each([
    [{ host: 'node-b.internal', port: 7452 }, /^node-b\.internal:7452$/],
    [{ host: '2001:db8::1', port: 0 }, /^\[2001:db8::1\]:[1-9]\d+$/],
  ])('tells others to reach it at %j', async (advertise, address) => {
    await put('b', tlsOf.b);
    const b = await open('b', { advertise });
    await b.listen(noReplicas, parts);
    expect(b.address).toMatch(address);
  });

  it('does not start with the certificate of another node', async () => {
    await put('a', tlsOf.b);
    await expect(open('a')).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringContaining('peer.tls.certificate') as string,
    });
  });

  it('names the setting of a file that is missing', async () => {
    await put('a', tlsOf.a);
    await rm(file('a', 'ca'));
    await expect(open('a')).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringContaining('peer.tls.ca') as string,
    });
  });

  it('takes new certificates of its own, and none of another node', async () => {
    await put('a', tlsOf.a);
    const a = await open('a');
    await a.listen(noReplicas, parts);
    await put('a', tlsOf.b);
    expect([await a.certificates.reload(), a.certificates.failed, a.certificates.replaced]).toEqual([
      false,
      1,
      0,
    ]);
    await put('a', await authority.tls('a'));
    expect([await a.certificates.reload(), a.certificates.replaced]).toEqual([true, 1]);
  });
});

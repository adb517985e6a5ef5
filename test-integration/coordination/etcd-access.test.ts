/** etcd that looks who comes: certificates, users, both. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Etcd3 } from 'etcd3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { EtcdCoordinatorOptions } from '../../src/coordination/etcd/etcd-coordinator.ts';
import type { TlsIdentity } from '../../src/transport/transport.ts';
import type { Authority } from '../../test/support/certificates.ts';
import { makeAuthority } from '../../test/support/certificates.ts';
import { EtcdServer } from '../support/etcd-server.ts';
import { eventually } from '../support/eventually.ts';
import { ClusterStage, newTopic } from './stage.ts';

const refusal = (code: string, ...words: string[]): Error =>
  expect.objectContaining({
    code,
    message: expect.stringMatching(new RegExp(words.join('.*'))) as string,
  }) as Error;

describe('etcd over TLS with client certificates', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-etcd-tls-'));
  let authority: Authority;
  let client: TlsIdentity;
  let etcd: EtcdServer;
  let stage: ClusterStage;

  beforeAll(async () => {
    authority = await makeAuthority();
    client = await authority.issue({ commonName: 'node-a', client: true });
    const server = await authority.issue({ names: ['localhost'], ips: ['127.0.0.1'] });
    const file = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    etcd = await EtcdServer.start({
      scheme: 'https',
      flags: [
        `--cert-file=${file('server.pem', server.certificatePem)}`,
        `--key-file=${file('server-key.pem', server.privateKeyPem)}`,
        `--trusted-ca-file=${file('ca.pem', authority.certificatePem)}`,
        '--client-cert-auth',
      ],
    });
  });
  afterAll(async () => {
    await etcd[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  const access = (): Partial<EtcdCoordinatorOptions> => ({
    caPem: authority.certificatePem,
    certificatePem: client.certificatePem,
    keyPem: client.privateKeyPem,
  });
  beforeEach(() => {
    const rootCertificate = Buffer.from(authority.certificatePem);
    stage = new ClusterStage(
      etcd.endpoint,
      new Etcd3({ hosts: etcd.endpoint, credentials: { rootCertificate } }),
    );
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  it('lets a node with a certificate in', async () => {
    const a = await stage.open('a', access());
    await a.createTopic(newTopic('t'));
    expect([a.cluster.leaseHeld, a.topics().length]).toEqual([true, 1]);
  });

  it('lets no node without one in', async () => {
    const { caPem } = access();
    await expect(stage.open('a', { caPem: caPem!, changeTimeoutMs: 1000 })).rejects.toThrow(
      refusal('CERTIFICATE_REJECTED', 'certificate'),
    );
  });

  it('lets no node with one of another authority in', async () => {
    const stranger = await (await makeAuthority()).issue({ commonName: 'node-a', client: true });
    const options = { ...access(), certificatePem: stranger.certificatePem, keyPem: stranger.privateKeyPem };
    await expect(stage.open('a', { ...options, changeTimeoutMs: 1000 })).rejects.toThrow(
      refusal('CERTIFICATE_REJECTED', 'certificate'),
    );
  });

  it('is not believed by a node that trusts another authority', async () => {
    const caPem = (await makeAuthority()).certificatePem;
    await expect(stage.open('a', { ...access(), caPem, changeTimeoutMs: 1000 })).rejects.toThrow(
      refusal('CERTIFICATE_REJECTED', 'etcd.ca'),
    );
  });

  it('is not tried with a key that belongs to another certificate', async () => {
    const { privateKeyPem } = await authority.issue({ client: true });
    await expect(stage.open('a', { ...access(), keyPem: privateKeyPem })).rejects.toThrow(
      refusal('INVALID_CONFIG', 'key'),
    );
  });

  it('is not spoken to without TLS', async () => {
    const endpoints = [etcd.endpoint.replace('https', 'http')];
    await expect(stage.open('a', { endpoints, changeTimeoutMs: 1000 })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
  });
});

describe('etcd with users', () => {
  let etcd: EtcdServer;
  let stage: ClusterStage;
  const root = { username: 'root', password: 'secret' };
  const node = { username: 'sluice', password: 'a-password' };

  beforeAll(async () => {
    etcd = await EtcdServer.start();
    const admin = new Etcd3({ hosts: etcd.endpoint });
    await admin.role('root').create();
    await admin.role('sluice').create();
    await admin.role('sluice').grant({ permission: 'Readwrite', range: admin.range({ prefix: '/sluice/' }) });
    await admin.role('other').create();
    await admin.user('root').create(root.password);
    await admin.user('root').addRole('root');
    await admin.user('sluice').create(node.password);
    await admin.user('sluice').addRole('sluice');
    await admin.user('other').create('other');
    await admin.user('other').addRole('other');
    await admin.auth.authEnable();
    admin.close();
  });
  afterAll(() => etcd[Symbol.asyncDispose]());
  beforeEach(() => {
    stage = new ClusterStage(etcd.endpoint, new Etcd3({ hosts: etcd.endpoint, auth: root }));
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  it('lets a node with user and password in', async () => {
    const a = await stage.open('a', node);
    await a.createTopic(newTopic('t'));
    expect([a.cluster.leaseHeld, a.topics().length]).toEqual([true, 1]);
  });

  it('goes on for a node whose login it has forgotten', async () => {
    const a = await stage.open('a', node);
    const b = await stage.open('b', node);
    await etcd.kill();
    await etcd.restart();
    await a.createTopic(newTopic('t'));
    await eventually('the watch of b', () => b.topic('t') !== undefined);
    await eventually('both members', () => a.cluster.nodes().length === 2 && a.cluster.leaseHeld);
  });

  it.each([
    ['a wrong password', { ...node, password: 'wrong' }, 'UNAUTHENTICATED', 'passwordFile'],
    ['an unknown user', { username: 'nobody', password: 'x' }, 'UNAUTHENTICATED', 'cluster.etcd.username'],
    ['no user', {}, 'UNAUTHENTICATED', 'cluster.etcd.username'],
    ['a user without permission', { username: 'other', password: 'other' }, 'FORBIDDEN', 'etcdctl'],
  ])('refuses %s at once and says what to do', async (_what, access, code, word) => {
    const startedMs = performance.now();
    await expect(stage.open('a', access)).rejects.toThrow(refusal(code, word));
    expect(performance.now() - startedMs).toBeLessThan(3000);
  });

  it('that has none refuses a node that names one', async () => {
    const open = await EtcdServer.start();
    const without = new ClusterStage(open.endpoint);
    await expect(without.open('a', node)).rejects.toThrow(refusal('UNAUTHENTICATED', 'auth enable'));
    await without[Symbol.asyncDispose]();
    await open[Symbol.asyncDispose]();
  });
});

describe('options that cannot be', () => {
  it.each<[string, Partial<EtcdCoordinatorOptions>, string]>([
    ['a name with a slash', { clusterName: 'a/b' }, 'cluster.name'],
    ['no endpoint', { endpoints: [] }, 'cluster.etcd.endpoints'],
    ['an endpoint without scheme', { endpoints: ['localhost:2379'] }, 'cluster.etcd.endpoints'],
    ['endpoints of both kinds', { endpoints: ['http://a:1', 'https://b:1'], caPem: 'x' }, 'all http'],
    ['https without authority', { endpoints: ['https://a:1'] }, 'etcd.ca'],
    ['a certificate without key', { endpoints: ['https://a:1'], caPem: 'x', certificatePem: 'x' }, 'key'],
    ['a user without password', { username: 'x' }, 'passwordFile'],
    ['a lease that is too short', { leaseTtlMs: 1000 }, 'cluster.leaseTtl'],
    ['an authority that is no certificate', { endpoints: ['https://a:1'], caPem: 'x' }, 'etcd.ca'],
  ])('are refused: %s', async (_what, options, word) => {
    const stage = new ClusterStage('http://127.0.0.1:1');
    await expect(stage.open('a', { ...options, changeTimeoutMs: 500 })).rejects.toThrow(
      refusal('INVALID_CONFIG', word),
    );
    await stage[Symbol.asyncDispose]();
  });
});

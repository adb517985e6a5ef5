import { afterEach, describe, expect, it } from 'vitest';
import { systemRandom } from '../../src/kernel/random.ts';
import { systemClock } from '../../src/kernel/system-clock.ts';
import {
  createAuthority,
  issueClientCertificate,
  issueServerCertificate,
} from '../../src/security/certificates.ts';
import type { GrpcTls } from '../../src/transport/grpc/grpc-tls.ts';
import { NodeAuthority } from '../support/node-certificates.ts';
import type { PeerStage, StageOptions } from './peer-stage.ts';
import {
  CARRIERS,
  authority,
  emptyAnswer,
  fetchRequest,
  openClient,
  startPeers,
  tlsOfA,
  tlsOfB,
} from './peer-stage.ts';

const ports = { clock: systemClock, random: systemRandom };
const strangers = await NodeAuthority.create();

/** Certificates that say nothing of nodes, from the authority that the nodes believe. */
const shared = await createAuthority('shared', ports);
const sharing = (identity: GrpcTls['identity']): GrpcTls => ({
  identity,
  authoritiesPem: authority.certificatePem + shared.certificatePem,
});

describe.each(CARRIERS)('who is let in by %s', (carrier) => {
  let stage: PeerStage;
  let asked: string[];
  afterEach(() => stage[Symbol.asyncDispose]());

  async function start(options: StageOptions): Promise<void> {
    asked = [];
    stage = await startPeers({
      ...options,
      settings: { streams: carrier },
      services: {
        replication: {
          fetch: (from, request) => {
            asked.push(from);
            return Promise.resolve(emptyAnswer(request));
          },
          forget: () => undefined,
        },
      },
    });
  }
  const fetching = () => stage.client.fetch('b', fetchRequest());

  it('a node of the cluster', async () => {
    await start({});
    await fetching();
    expect(asked).toEqual(['a']);
  });

  it.each<[string, () => Promise<StageOptions>]>([
    [
      'a caller of an authority that is not believed',
      async () => ({
        clientTls: { ...(await strangers.tls('a')), authoritiesPem: authority.certificatePem },
      }),
    ],
    [
      'a caller of another cluster',
      async () => ({ clientTls: await authority.tls('a', { cluster: 'other' }) }),
    ],
    [
      'a caller that is out of date',
      async () => ({ clientTls: await authority.tls('a', { issuedDaysAgo: 398 }) }),
    ],
    [
      'a caller that has a certificate of a client, named like a node',
      async () => {
        const tls = sharing(await issueClientCertificate(shared, 'sluice://main/node/a', ports));
        return { clientTls: tls, serverTls: { ...tlsOfB, authoritiesPem: tls.authoritiesPem } };
      },
    ],
    [
      'a server of an authority that is not believed',
      async () => ({
        serverTls: { ...(await strangers.tls('b')), authoritiesPem: authority.certificatePem },
      }),
    ],
    ['a server that is another node', async () => ({ serverTls: await authority.tls('c') })],
    [
      'a server of another cluster',
      async () => ({ serverTls: await authority.tls('b', { cluster: 'other' }) }),
    ],
    [
      'a server that is out of date',
      async () => ({ serverTls: await authority.tls('b', { issuedDaysAgo: 398 }) }),
    ],
    [
      'a server that is no node, though its name and address are right',
      async () => {
        const names = ['b', 'node.sluice', '127.0.0.1', 'localhost'];
        const tls = sharing(await issueServerCertificate(shared, names, ports));
        return { serverTls: tls, clientTls: { ...tlsOfA, authoritiesPem: tls.authoritiesPem } };
      },
    ],
  ])('not %s', async (_, options) => {
    await start(await options());
    await expect(fetching()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(stage.client.describePartitions('b', [])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(asked).toEqual([]);
  });

  it('says why a server was refused', async () => {
    await start({ serverTls: await authority.tls('c') });
    await expect(fetching()).rejects.toMatchObject({ cause: { code: 'CERTIFICATE_REJECTED' } });
  });

  it('says why a caller was refused', async () => {
    await start({ clientTls: await authority.tls('a', { cluster: 'other' }) });
    await expect(fetching()).rejects.toMatchObject({ cause: { code: 'CERTIFICATE_REJECTED' } });
  });
});

describe.each(CARRIERS)('certificates that are replaced, of streams by %s', (carrier) => {
  it('hold at both ends for connections to come, while the open one goes on', async () => {
    await using stage = await startPeers({
      settings: { streams: carrier },
      services: {
        replication: {
          fetch: (_, request) => Promise.resolve(emptyAnswer(request)),
          forget: () => undefined,
        },
      },
    });
    const { client, server, clock, settings } = stage;
    await client.fetch('b', fetchRequest());
    server.setTls(await strangers.tls('b'));
    expect(await client.fetch('b', fetchRequest({ sequence: 1 }))).toMatchObject({ sequence: 1 });

    const ours = openClient(stage, tlsOfA, `127.0.0.1:${server.port}`);
    await expect(ours.fetch('b', fetchRequest())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    ours.setTls(await strangers.tls('a'));
    clock.advance(settings.reconnect.maxMs);
    expect(await ours.fetch('b', fetchRequest())).toMatchObject({ sequence: 0 });
    ours.close();
  });

  it('stay as they are when the new ones cannot be used', async () => {
    await using stage = await startPeers({
      settings: { streams: carrier },
      services: {
        replication: {
          fetch: (_, request) => Promise.resolve(emptyAnswer(request)),
          forget: () => undefined,
        },
      },
    });
    const mixed = {
      ...tlsOfA,
      identity: { ...tlsOfA.identity, privateKeyPem: tlsOfB.identity.privateKeyPem },
    };
    for (const broken of [mixed, { ...tlsOfA, authoritiesPem: '' }]) {
      expect(() => stage.client.setTls(broken)).toThrow(expect.objectContaining({ code: 'INVALID_CONFIG' }));
      expect(() => stage.server.setTls(broken)).toThrow(expect.objectContaining({ code: 'INVALID_CONFIG' }));
    }
    await stage.client.fetch('b', fetchRequest());
  });
});

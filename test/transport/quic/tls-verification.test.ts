import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SessionCache } from '../../../src/transport/quic/session-cache.ts';
import type { TlsIdentity } from '../../../src/transport/transport.ts';
import type { IssueOptions } from '../../support/certificates.ts';
import { makeAuthority } from '../../support/certificates.ts';
import { closeOf, echoStreams, roundTrip } from '../../support/transport-streams.ts';
import { SERVER_NAMES, issued, quicStage } from './quic-stage.ts';
import { itWhen } from '../../support/it-when.ts';

const stage = quicStage();
beforeEach(() => stage.open());
afterEach(() => stage.close());

async function connectTo(certificate: IssueOptions, serverName: string | undefined) {
  const { authority, identity } = await issued(certificate);
  const listener = await stage.listen({ identity });
  return stage.connect(listener, { authoritiesPem: authority.certificatePem, serverName });
}

describe('certificate of the server', () => {
  it('is accepted for its DNS name', async () => {
    const connection = await connectTo({ names: ['broker.example'] }, 'broker.example');
    expect(connection.peerCertificate).toBeDefined();
  });

  it('is accepted for a name under its wildcard', async () => {
    const connection = await connectTo({ names: ['*.broker.example'] }, 'a.broker.example');
    expect(connection.peerCertificate).toBeDefined();
  });

  it.each(['127.0.0.1', '::1'])('is accepted for its IP address %s', async (ip) => {
    const connection = await connectTo({ ips: [ip] }, ip);
    expect(connection.peerCertificate).toBeDefined();
  });

  it.each([
    ['another DNS name', { names: ['broker.example'] }, 'other.example'],
    ['the parent of its name', { names: ['a.broker.example'] }, 'broker.example'],
    ['another IP address', { ips: ['127.0.0.2'] }, '127.0.0.1'],
    ['an IP address that it carries as a DNS name', { names: ['127.0.0.1'] }, '127.0.0.1'],
    ['a name in its common name only', { commonName: 'broker.example' }, 'broker.example'],
    ['an IP address when it has names only', SERVER_NAMES, '127.0.0.3'],
  ])('is refused for %s', async (_what, certificate, serverName) => {
    await expect(connectTo(certificate, serverName)).rejects.toMatchObject({ code: 'CERTIFICATE_REJECTED' });
  });

  it.each([
    ['has expired', { notBeforeDaysAgo: 3, notAfterDays: -1 }],
    ['is not valid yet', { notBeforeDaysAgo: -1, notAfterDays: 2 }],
    ['is one for clients', { client: true }],
  ])('is refused when it %s', async (_what, certificate) => {
    const attempt = connectTo({ ...SERVER_NAMES, ...certificate }, undefined);
    await expect(attempt).rejects.toMatchObject({ code: 'CERTIFICATE_REJECTED' });
  });

  it('is refused when its authority only has the right name', async () => {
    const { identity } = await issued(SERVER_NAMES);
    const impostor = await makeAuthority();
    const listener = await stage.listen({ identity });
    const attempt = stage.connect(listener, { authoritiesPem: impostor.certificatePem });
    await expect(attempt).rejects.toMatchObject({ code: 'CERTIFICATE_REJECTED' });
  });
});

describe.each([
  ['asked for', false],
  ['required', true],
])('certificate of a client, %s', (_what, requireClientCertificate) => {
  async function connectWith(identity: TlsIdentity | undefined): Promise<string[]> {
    const shown: string[] = [];
    const listener = await stage.listen(
      { clientAuthoritiesPem: stage.credentials.authorityPem, requireClientCertificate },
      (connection) => shown.push(connection.peerCertificate === undefined ? 'none' : 'one'),
    );
    await stage.connect(listener, { identity });
    return shown;
  }

  it('reaches the server when it verifies', async () => {
    expect(await connectWith(stage.credentials.client)).toEqual(['one']);
  });

  it.each([
    ['is of another authority', undefined],
    ['has expired', { client: true, notBeforeDaysAgo: 3, notAfterDays: -1 }],
    ['is one for servers', SERVER_NAMES],
  ])('is refused when it %s, and the client is told', async (_what, certificate) => {
    const authority = await makeAuthority();
    const identity = await authority.issue(certificate ?? { client: true });
    const listener = await stage.listen({
      clientAuthoritiesPem:
        certificate === undefined ? stage.credentials.authorityPem : authority.certificatePem,
      requireClientCertificate,
    });
    await expect(stage.connect(listener, { identity })).rejects.toMatchObject({
      code: 'CERTIFICATE_REJECTED',
    });
  });

  itWhen(requireClientCertificate)('is missed, and the client is told', async () => {
    await expect(connectWith(undefined)).rejects.toMatchObject({ code: 'CERTIFICATE_REJECTED' });
  });
});

describe('resumed sessions', () => {
  it('show the certificates of the first handshake again', async () => {
    const { authorityPem, client: identity } = stage.credentials;
    const certificates: (Uint8Array | undefined)[] = [];
    const take = vi.spyOn(SessionCache.prototype, 'take');
    const listener = await stage.listen({ clientAuthoritiesPem: authorityPem }, (connection) => {
      certificates.push(connection.peerCertificate);
      echoStreams(connection);
    });
    for (let i = 0; i < 3; i += 1) {
      const connection = await stage.connect(listener, { identity });
      await roundTrip(connection, 'x');
      const closed = closeOf(connection);
      connection.close(0, '');
      await closed;
    }
    expect(take.mock.results.map((result) => result.value !== undefined)).toEqual([false, true, true]);
    expect(certificates.map((der) => Buffer.from(der!).equals(Buffer.from(certificates[0]!)))).toEqual([
      true,
      true,
      true,
    ]);
  });

  it('are not used with other authorities', async () => {
    const listener = await stage.listen({}, echoStreams);
    const first = await stage.connect(listener);
    await roundTrip(first, 'x');
    const closed = closeOf(first);
    first.close(0, '');
    await closed;
    const attempt = stage.connect(listener, { authoritiesPem: stage.credentials.strangerPem });
    await expect(attempt).rejects.toMatchObject({ code: 'CERTIFICATE_REJECTED' });
  });
});

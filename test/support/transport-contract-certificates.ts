import { expect, it } from 'vitest';
import type { TlsIdentity } from '../../src/transport/transport.ts';
import type { IssueOptions } from './certificates.ts';
import { makeAuthority } from './certificates.ts';
import { itWhen } from './it-when.ts';
import type { TransportStage } from './transport-stage.ts';
import { closeOf, echoStreams, roundTrip } from './transport-streams.ts';

const SERVER: IssueOptions = { names: ['localhost'], ips: ['127.0.0.1'] };

/** The part of the contract about who is who. */
export function describeCertificates(stage: TransportStage): void {
  const { verifies } = stage.subject;

  it('shows the client’s certificate to the server', async () => {
    const { authorityPem, client: identity } = stage.credentials;
    const { server } = await stage.pair({
      listen: { clientAuthoritiesPem: authorityPem },
      connect: { identity },
    });
    expect(server.peerCertificate).toBeDefined();
  });

  it('has no certificate of a client that showed none', async () => {
    const { server } = await stage.pair({ listen: { clientAuthoritiesPem: stage.credentials.authorityPem } });
    expect(server.peerCertificate).toBeUndefined();
  });

  it('shows a new certificate to connections to come', async () => {
    const { client, listener } = await stage.pair();
    listener.setIdentity(stage.credentials.otherServer);
    const later = await stage.connect(listener);
    expect(Buffer.from(later.peerCertificate!).equals(client.peerCertificate!)).toBe(false);
  });

  it('lets no client without a certificate speak where one is required', async () => {
    const spoke: string[] = [];
    const listener = await stage.listen(
      { clientAuthoritiesPem: stage.credentials.authorityPem, requireClientCertificate: true },
      () => spoke.push('connected'),
    );
    // With TLS 1.3 the client may believe it is connected until the server's refusal arrives.
    const ended = stage.connect(listener).then(closeOf, (error: unknown) => error);
    await ended;
    expect(spoke).toEqual([]);
  });

  itWhen(verifies)('refuses a server of an unknown authority', async () => {
    const listener = await stage.listen();
    const attempt = stage.connect(listener, { authoritiesPem: stage.credentials.strangerPem });
    await expect(attempt).rejects.toMatchObject({ code: 'CERTIFICATE_REJECTED' });
  });

  itWhen(verifies)('refuses a server whose certificate carries another name', async () => {
    const listener = await stage.listen();
    const attempt = stage.connect(listener, { serverName: 'elsewhere.example' });
    await expect(attempt).rejects.toMatchObject({ code: 'CERTIFICATE_REJECTED' });
  });

  itWhen(verifies)('accepts the name in place of the address', async () => {
    const { client } = await stage.pair({ connect: { serverName: 'localhost' } }, echoStreams);
    expect(await roundTrip(client, 'named')).toBe('named');
  });

  itWhen(verifies)('refuses a key that does not belong to the certificate', async () => {
    const { server, client } = stage.credentials;
    const identity = { certificatePem: server.certificatePem, privateKeyPem: client.privateKeyPem };
    await expect(stage.listen({ identity })).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  });

  it('goes on with the connections it has when it gets a new certificate', async () => {
    const { client, listener } = await stage.pair({}, echoStreams);
    listener.setIdentity(stage.credentials.otherServer);
    expect(await roundTrip(client, 'still here')).toBe('still here');
  });

  if (!verifies) return;
  describeClientCertificates(stage);
  describeServerCertificates(stage);
}

function describeClientCertificates(stage: TransportStage): void {
  const wrong: readonly (readonly [string, 'known' | 'stranger', IssueOptions])[] = [
    ['has expired', 'known', { client: true, notBeforeDaysAgo: 3, notAfterDays: -1 }],
    ['is not valid yet', 'known', { client: true, notBeforeDaysAgo: -1, notAfterDays: 2 }],
    ['is one for servers', 'known', SERVER],
    ['is of another authority', 'stranger', { client: true }],
  ];

  for (const requireClientCertificate of [false, true]) {
    const how = requireClientCertificate ? 'required' : 'asked for';

    it.each(wrong)(
      `refuses a client whose certificate, ${how}, %s, tells it so, and serves others`,
      async (_what, issuer, options) => {
        const [known, stranger] = await Promise.all([makeAuthority(), makeAuthority('stranger')]);
        const [bad, good] = await Promise.all([
          (issuer === 'known' ? known : stranger).issue(options),
          known.issue({ client: true }),
        ]);
        const listener = await stage.listen(
          { clientAuthoritiesPem: known.certificatePem, requireClientCertificate },
          echoStreams,
        );
        await expect(stage.connect(listener, { identity: bad })).rejects.toMatchObject({
          code: 'CERTIFICATE_REJECTED',
        });
        expect(await roundTrip(await stage.connect(listener, { identity: good }), 'served')).toBe('served');
      },
    );
  }

  it('does not connect with a certificate whose key is another', async () => {
    const { server, client, authorityPem } = stage.credentials;
    const identity = { certificatePem: client.certificatePem, privateKeyPem: server.privateKeyPem };
    const listener = await stage.listen({ clientAuthoritiesPem: authorityPem });
    await expect(stage.connect(listener, { identity })).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  });

  it('tells a client without a certificate where one is required', async () => {
    const { authorityPem } = stage.credentials;
    const listener = await stage.listen({
      clientAuthoritiesPem: authorityPem,
      requireClientCertificate: true,
    });
    await expect(stage.connect(listener)).rejects.toMatchObject({ code: 'CERTIFICATE_REJECTED' });
  });

  it('takes client certificates of a new authority, and those of the old one no more, from its change on', async () => {
    const [before, after] = await Promise.all([makeAuthority('before'), makeAuthority('after')]);
    const [old, late] = await Promise.all([before.issue({ client: true }), after.issue({ client: true })]);
    const listener = await stage.listen({ clientAuthoritiesPem: before.certificatePem }, echoStreams);
    const existing = await stage.connect(listener, { identity: old });
    await expect(stage.connect(listener, { identity: late })).rejects.toMatchObject({
      code: 'CERTIFICATE_REJECTED',
    });
    listener.setIdentity(stage.credentials.server, after.certificatePem);
    await expect(stage.connect(listener, { identity: old })).rejects.toMatchObject({
      code: 'CERTIFICATE_REJECTED',
    });
    const fresh = await stage.connect(listener, { identity: late });
    expect([await roundTrip(existing, 'old'), await roundTrip(fresh, 'new')]).toEqual(['old', 'new']);
  });
}

function describeServerCertificates(stage: TransportStage): void {
  async function connectTo(options: IssueOptions): Promise<unknown> {
    const authority = await makeAuthority();
    const listener = await stage.listen({ identity: await authority.issue({ ...SERVER, ...options }) });
    return stage.connect(listener, { authoritiesPem: authority.certificatePem });
  }

  it.each([
    ['has expired', { notBeforeDaysAgo: 3, notAfterDays: -1 }],
    ['is not valid yet', { notBeforeDaysAgo: -1, notAfterDays: 2 }],
    ['is one for clients', { client: true }],
    ['carries another address', { ips: ['127.0.0.2'] }],
  ])('refuses a server whose certificate %s', async (_what, options) => {
    await expect(connectTo(options)).rejects.toMatchObject({ code: 'CERTIFICATE_REJECTED' });
  });

  it('keeps its certificate when the new one cannot be used', async () => {
    const { server, client: other } = stage.credentials;
    const { client, listener } = await stage.pair({}, echoStreams);
    const broken: readonly TlsIdentity[] = [
      { certificatePem: server.certificatePem, privateKeyPem: other.privateKeyPem },
      { certificatePem: server.certificatePem.slice(0, 200), privateKeyPem: server.privateKeyPem },
      { certificatePem: '', privateKeyPem: '' },
    ];
    for (const identity of broken) {
      expect(() => listener.setIdentity(identity)).toThrow(
        expect.objectContaining({ code: 'INVALID_CONFIG' }) as Error,
      );
    }
    const later = await stage.connect(listener);
    expect(Buffer.from(later.peerCertificate!).equals(client.peerCertificate!)).toBe(true);
  });
}

import type { AddressInfo } from 'node:net';
import type { ConnectionOptions, TlsOptions } from 'node:tls';
import { connect as connectTls, createServer } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Listener } from '../../../src/transport/transport.ts';
import { echoStreams, roundTrip } from '../../support/transport-streams.ts';
import { http2Stage } from './http2-stage.ts';

const stage = http2Stage();
let listener: Listener;

beforeEach(async () => {
  await stage.open();
  listener = await stage.listen({}, echoStreams);
});
afterEach(() => stage.close());

describe('http2 handshake of a stranger', () => {
  const ending = (options: ConnectionOptions): Promise<unknown> =>
    new Promise((resolve) => {
      const ca = stage.credentials.authorityPem;
      const socket = connectTls({ host: '127.0.0.1', port: listener.port, ca, ...options });
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
      socket.once('close', () => resolve('closed'));
      socket.resume();
    });

  it.each([
    [
      'knows only TLS 1.2',
      { maxVersion: 'TLSv1.2', ALPNProtocols: ['h2'] },
      'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
    ],
    ['speaks another protocol', { ALPNProtocols: ['h3'] }, 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL'],
    ['names no protocol', {}, 'closed'],
  ] as const)('that %s is refused, and the others are served', async (_what, options, code) => {
    expect(await ending(options as ConnectionOptions)).toBe(code);
    expect(await roundTrip(await stage.connect(listener), 'served')).toBe('served');
  });

  it('that knows only TLS 1.2 is refused also once the certificate is a new one', async () => {
    listener.setIdentity(stage.credentials.server);
    const options = { maxVersion: 'TLSv1.2', ALPNProtocols: ['h2'] } as const;
    expect(await ending(options)).toBe('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION');
  });
});

describe('http2 handshake with a server', () => {
  async function connectTo(options: TlsOptions): Promise<unknown> {
    const { certificatePem: cert, privateKeyPem: key } = stage.credentials.server;
    const server = createServer({ cert, key, ...options }, (socket) => {
      socket.on('error', () => undefined);
      socket.resume();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      return await stage.connect(server.address() as AddressInfo);
    } finally {
      server.close();
    }
  }

  it.each([
    ['knows only TLS 1.2', { maxVersion: 'TLSv1.2', ALPNProtocols: ['h2'] }],
    ['speaks another protocol', { ALPNProtocols: ['http/1.1'] }],
    ['names no protocol', {}],
  ] as const)('that %s fails with VERSION_MISMATCH', async (_what, options) => {
    await expect(connectTo(options as TlsOptions)).rejects.toMatchObject({ code: 'VERSION_MISMATCH' });
  });

  it.each(['127.0.0.9', 'elsewhere.example'])(
    'says that its certificate is not for %s',
    async (serverName) => {
      await expect(stage.connect(listener, { serverName })).rejects.toMatchObject({
        code: 'CERTIFICATE_REJECTED',
        message: expect.stringMatching(`is for .+, not for ${serverName}$`) as string,
      });
    },
  );
});

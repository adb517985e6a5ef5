import { once } from 'node:events';
import type { Http2SecureServer } from 'node:http2';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SluiceError } from '../../src/kernel/errors.ts';
import type { PeerClient } from '../../src/peer/peer-client.ts';
import { DEFAULT_PEER_SETTINGS } from '../../src/peer/peer-settings.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { secureContextOptions } from '../../src/transport/grpc/grpc-tls.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { fetchRequest, openClient, publishOf, forward, tlsOfA, tlsOfB } from './peer-stage.ts';

describe('a node of a version that has no streams of ours', () => {
  let server: Http2SecureServer;
  let client: PeerClient;
  let clock: FakeClock;
  let lines: string[];

  beforeEach(async () => {
    // It knows HTTP/2 and nothing else: calls reach it, and it answers that it does not know them.
    server = createSecureServer({ ...secureContextOptions(tlsOfB), requestCert: true });
    const unimplemented = { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '12' };
    server.on('stream', (stream) => stream.respond(unimplemented, { endStream: true }));
    server.on('tlsClientError', () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    clock = new FakeClock();
    lines = [];
    const destination = { write: (line: string) => void lines.push(line) };
    const log = createLogger({ level: 'info', format: 'json', destination });
    const { port } = server.address() as AddressInfo;
    client = openClient({ settings: DEFAULT_PEER_SETTINGS, clock }, tlsOfA, `127.0.0.1:${port}`, log);
  });
  afterEach(async () => {
    client.close();
    server.close();
    await once(server, 'close');
  });

  const failure = (asked: Promise<unknown>): Promise<SluiceError> =>
    asked.then(
      () => expect.unreachable(),
      (error: unknown) => error as SluiceError,
    );

  it.each([
    ['fetches', () => client.fetch('b', fetchRequest())],
    ['forwards', () => forward(client, publishOf())],
  ])('is not there for %s, and it is told what to do', async (_, ask) => {
    const error = await failure(ask());
    // Who publishes may try again: it is the nodes that do not fit each other.
    expect(error).toMatchObject({ code: 'UNAVAILABLE', cause: { code: 'VERSION_MISMATCH' } });
    expect(error.message).toContain('run the same version of Sluice on all nodes');
  });

  it.each([
    ['is not connected yet', false],
    ['is connected for calls', true],
  ])('is logged once, however often it is asked while it %s', async (_, calls) => {
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const ref = { topicId: 't', partition: 0 };
      if (calls) await failure(client.listOffsets('b', [ref], { at: 'latest' }));
      await failure(client.fetch('b', fetchRequest()));
      clock.advance(DEFAULT_PEER_SETTINGS.reconnect.maxMs);
    }
    const events = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events.filter(({ level }) => level === 'warn')).toMatchObject([
      {
        ...{ evt: 'peer.connect_failed', peer: 'b' },
        error: { code: 'UNAVAILABLE', cause: { code: 'VERSION_MISMATCH' } },
      },
    ]);
    expect(events.length).toBeLessThanOrEqual(2);
  });

  it('is dialled ever more rarely, also where it can be called', async () => {
    const { maxMs } = DEFAULT_PEER_SETTINGS.reconnect;
    const ref = { topicId: 't', partition: 0 };
    for (let attempt = 0; attempt < 8; attempt += 1) {
      await failure(client.listOffsets('b', [ref], { at: 'latest' }));
      await failure(client.fetch('b', fetchRequest()));
      clock.advance(attempt < 7 ? maxMs : maxMs / 2 - 1);
    }
    let dialled = 0;
    server.on('connection', () => (dialled += 1));
    await failure(client.fetch('b', fetchRequest()));
    expect(dialled).toBe(0);
  });
});

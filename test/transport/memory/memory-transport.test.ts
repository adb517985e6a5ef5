import { describe, expect, it } from 'vitest';
import type { Clock } from '../../../src/kernel/clock.ts';
import { DEFAULT_LIMITS } from '../../../src/transport/limits.ts';
import type { MemoryTransportOptions } from '../../../src/transport/memory/memory-transport.ts';
import { createMemoryTransport } from '../../../src/transport/memory/memory-transport.ts';
import type { Connection } from '../../../src/transport/transport.ts';
import { describeTransport } from '../../support/transport-contract.ts';
import { paperCredentials } from '../../support/transport-stage.ts';
import { nextStream, readAll, readSome, writableAgain } from '../../support/transport-streams.ts';

describeTransport('memory', {
  create: () => createMemoryTransport(),
  credentials: paperCredentials,
  datagrams: true,
  verifies: false,
});

async function pair(options: MemoryTransportOptions): Promise<{ client: Connection; server: Connection }> {
  const transport = createMemoryTransport(options);
  const limits = { ...DEFAULT_LIMITS, streamWindowBytes: 100 };
  const identity = { certificatePem: '', privateKeyPem: '' };
  const accepted = Promise.withResolvers<Connection>();
  const listener = await transport.listen(
    {
      host: 'a',
      port: 1,
      identity,
      clientAuthoritiesPem: undefined,
      requireClientCertificate: false,
      limits,
    },
    (connection) => accepted.resolve(connection),
  );
  const client = await transport.connect({
    host: listener.host,
    port: listener.port,
    serverName: undefined,
    authoritiesPem: '',
    identity: undefined,
    limits,
    signal: undefined,
  });
  return { client, server: await accepted.promise };
}

describe('memory transport', () => {
  it('takes over exactly one window of a stream that nobody reads', async () => {
    const { client, server } = await pair({});
    const incoming = nextStream(server, (stream) => stream.receive?.pause());
    const send = client.openUni();
    send.write(Buffer.alloc(250));
    await incoming;
    expect(send.bufferedBytes).toBe(150);
  });

  it('overwrites a chunk after the call that lent it', async () => {
    const { client, server } = await pair({});
    let kept: Buffer | undefined;
    const incoming = nextStream(server, (stream) => {
      stream.receive!.onData = (chunk) => (kept = chunk);
    });
    client.openUni().write(Buffer.from('lent'));
    await incoming;
    await Promise.resolve();
    expect(kept?.toString('latin1')).toBe('\xdb\xdb\xdb\xdb');
  });

  it('cuts what it delivers into pieces of the size asked for', async () => {
    const { client, server } = await pair({ maxChunkBytes: 3 });
    const first = new Promise<Buffer>((resolve) => {
      server.onStream = (stream) => resolve(readSome(stream.receive!));
    });
    client.openUni().write(Buffer.from('abcdefg'));
    expect((await first).toString()).toBe('abc');
  });

  it('loses the datagrams it is told to lose', async () => {
    let number = 0;
    const { client, server } = await pair({ dropDatagram: () => number++ === 0 });
    const arrived = new Promise<string>((resolve) => {
      server.onDatagram = (bytes) => resolve(bytes.toString());
    });
    expect([client.sendDatagram(Buffer.from('first')), client.sendDatagram(Buffer.from('second'))]).toEqual([
      true,
      true,
    ]);
    expect(await arrived).toBe('second');
  });

  it('measures how long a stream was blocked', async () => {
    let nowMs = 0;
    const clock: Clock = {
      now: () => nowMs,
      monotonicMs: () => nowMs,
      setTimer: () => ({ cancel: () => undefined }),
    };
    const { client, server } = await pair({ clock });
    const incoming = nextStream(server, (stream) => stream.receive?.pause());
    const send = client.openUni();
    send.write(Buffer.alloc(150));
    const receive = (await incoming).receive!;
    nowMs = 40;
    void readAll(receive);
    const drained = writableAgain(send);
    receive.resume();
    await drained;
    nowMs = 90;
    expect(send.blockedMs).toBe(40);
  });
});

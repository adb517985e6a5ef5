import { credentials, status as grpcStatus } from '@grpc/grpc-js';
import { service as healthService } from 'grpc-health-check';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MessageService } from '../../../src/gen/sluice/messages/v1/messages_pb.ts';
import type { Authority } from '../../support/certificates.ts';
import { makeAuthority } from '../../support/certificates.ts';
import { turns } from '../../support/turns.ts';
import { GrpcStage } from './grpc-stage.ts';

const { publish, consume } = MessageService.method;
const request = { topic: 't', messages: [{ body: Buffer.from('a') }] };
const MiB = 1024 * 1024;
const asIs = (bytes: Buffer): Buffer => bytes;

describe('the gRPC gateway', () => {
  let stage: GrpcStage;

  beforeEach(async () => {
    stage = await GrpcStage.open();
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  /** Status of a service; what the call ended with when it failed. */
  function health(service: string): Promise<unknown> {
    const { raw } = stage.client();
    const { path, requestSerialize, responseDeserialize } = healthService['Check']!;
    return new Promise((resolve) => {
      raw.makeUnaryRequest(path, requestSerialize, responseDeserialize, { service }, (error, answer) =>
        resolve(error ? error.code : (answer as { status: string }).status),
      );
    });
  }

  it('says of itself and of the service that they serve', async () => {
    expect(await health('')).toBe('SERVING');
    expect(await health('sluice.messages.v1.MessageService')).toBe('SERVING');
    expect(await health('nonsense')).toBe(5);
  });

  it.each(['v1', 'v1alpha'])('describes itself over reflection %s', async (version) => {
    const { raw } = stage.client();
    const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
    const stream = raw.makeBidiStreamRequest<Buffer, Buffer>(path, asIs, asIs);
    const answers: string[] = [];
    stream.on('data', (bytes: Buffer) => answers.push(bytes.toString('latin1')));
    stream.write(Buffer.from([0x3a, 1, 0x2a])); // list_services: '*'
    const symbol = 'sluice.messages.v1.Message';
    stream.write(Buffer.from([0x22, symbol.length, ...Buffer.from(symbol)])); // file_containing_symbol
    stream.end();
    await new Promise((resolve) => stream.on('status', resolve));
    expect(answers[0]).toContain('sluice.messages.v1.MessageService');
    expect(answers[0]).toContain('grpc.health.v1.Health');
    expect(answers[1]).toContain('lease_token');
    expect(answers[1]).toContain('google/protobuf/timestamp.proto');
  });

  it('ends reflection for who asks without end', async () => {
    const { raw } = stage.client();
    const path = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
    const stream = raw.makeBidiStreamRequest<Buffer, Buffer>(path, asIs, asIs);
    stream.on('data', () => undefined);
    const failed = new Promise<{ code: number }>((resolve) => stream.on('error', resolve as () => void));
    for (let count = 0; count < 1_001; count++) stream.write(Buffer.from([0x3a, 1, 0x2a]));
    expect(await failed).toMatchObject({ code: 8 });
  });

  it('keeps no more of unfinished requests for health than there is room for', async () => {
    const session = connectHttp2(`http://127.0.0.1:${stage.gateway.port}`);
    const statuses: unknown[] = [];
    const [head, body] = [Buffer.from([0, 0, 0x0f, 0xff, 0xff]), Buffer.alloc(MiB / 2)];
    for (let count = 0; count < 40; count++) {
      const stream = session.request({
        ...{ ':method': 'POST', ':path': '/grpc.health.v1.Health/Check' },
        ...{ 'content-type': 'application/grpc', te: 'trailers' },
      });
      stream.on('error', () => undefined);
      stream.on('response', (headers) => statuses.push(headers['sluice-error']));
      stream.write(head);
      stream.write(body);
    }
    await until(() => statuses.length > 0);
    expect(new Set(statuses)).toEqual(new Set(['OVERLOADED']));
    expect(await health('')).toBe('SERVING');
    session.destroy();
    await until(() => stage.gateway.callCount === 0);
  });

  it('has no methods but its own', async () => {
    const { raw } = stage.client();
    const code = await new Promise((resolve) => {
      raw.makeUnaryRequest(
        '/sluice.messages.v1.MessageService/Nonsense',
        asIs,
        asIs,
        Buffer.alloc(0),
        (error) => resolve(error?.code),
      );
    });
    expect(code).toBe(12);
    expect([...stage.gateway.counters.calls.keys()]).toEqual([]);
  });

  it('counts', async () => {
    await stage.client().call(publish, request);
    await health('');
    const { counters } = stage.gateway;
    expect([...counters.calls]).toEqual([
      ['Publish', 1],
      ['other', 1],
    ]);
    expect(counters.published).toBe(1);
  });

  it('that drains answers what is under way, ends who waits with DRAINING, and lets everybody go', async () => {
    stage.broker.hold = true;
    stage.broker.onReceive = () => new Promise(() => undefined);
    const client = stage.client();
    const publishing = client.call(publish, request);
    const consuming = client.serverStream(consume, { topic: 't' });
    const { path, requestSerialize, responseDeserialize } = healthService['Watch']!;
    const watching = client.raw.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {
      service: '',
    });
    const seen: string[] = [];
    const watched = once(watching, 'error');
    watching.on('data', ({ status }: { status: string }) => seen.push(status));
    await until(
      () => stage.broker.held.length === 1 && stage.broker.receives.length === 1 && seen.length === 1,
    );
    const drained = stage.gateway.drain(10_000);
    expect(await consuming.ended).toMatchObject({ code: 'DRAINING' });
    stage.broker.held[0]!();
    expect((await publishing).results).toHaveLength(1);
    await drained;
    expect(seen).toEqual(['SERVING', 'NOT_SERVING']);
    expect(await watched).toMatchObject([{ code: grpcStatus.UNAVAILABLE }]);
    await until(() => stage.gateway.connectionCount === 0);
    await expect(stage.client().call(publish, request)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('that is stopped cuts off who is left', async () => {
    stage.broker.hold = true;
    const publishing = stage.client().call(publish, request);
    await until(() => stage.broker.held.length === 1);
    const closed = stage.gateway.close();
    await expect(publishing).rejects.toMatchObject({ code: 'CLOSED' });
    await closed;
  });

  it('takes no more connections than it may', async () => {
    await using small = await GrpcStage.open({ maxConnections: 1 });
    await small.client().call(publish, request);
    await expect(
      small.client().call(publish, request, { deadline: Date.now() + 2_000 }),
    ).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(small.gateway.refusedConnections).toBeGreaterThan(0);
  });

  it('says when its port is taken', async () => {
    const { port } = stage.gateway;
    await expect(GrpcStage.open({ port })).rejects.toMatchObject({ code: 'ADDRESS_IN_USE' });
  });

  it.each([
    ['garbage', Buffer.alloc(10_000, 0x5a)],
    ['HTTP/1.1', Buffer.from('GET / HTTP/1.1\r\nhost: a\r\n\r\n')],
    ['half a preface', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM')],
    [
      'a preface and garbage',
      Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.alloc(5_000, 0xff)]),
    ],
  ])('survives %s on its port', async (_name, bytes) => {
    const socket = connect(stage.gateway.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.resume().end(bytes);
    await new Promise((resolve) => socket.once('close', resolve));
    await stage.client().call(publish, request);
    expect(stage.broker.batches).toHaveLength(1);
  });
});

describe('with TLS', () => {
  let authority: Authority;
  let stage: GrpcStage;

  async function open(options: { clientCa?: boolean; required?: boolean } = {}): Promise<void> {
    authority = await makeAuthority();
    stage = await GrpcStage.open({
      security: {
        identity: await authority.issue({ names: ['localhost'], ips: ['127.0.0.1'] }),
        clientAuthoritiesPem: options.clientCa === true ? authority.certificatePem : undefined,
        requireClientCertificate: options.required === true,
      },
    });
  }
  afterEach(() => stage[Symbol.asyncDispose]());

  async function channel(
    by?: Authority,
    commonName?: string,
  ): Promise<ReturnType<typeof credentials.createSsl>> {
    const roots = Buffer.from(authority.certificatePem);
    if (!by) return credentials.createSsl(roots);
    const identity = await by.issue({ client: true, commonName: commonName! });
    return credentials.createSsl(
      roots,
      Buffer.from(identity.privateKeyPem),
      Buffer.from(identity.certificatePem),
    );
  }
  const call = async (by?: Authority, name?: string): Promise<unknown> =>
    stage.client(await channel(by, name)).call(publish, request, { deadline: Date.now() + 5_000 });

  it('serves who trusts its authority', async () => {
    await open();
    await call();
    expect(stage.broker.publishers).toMatchObject([{ kind: 'anonymous' }]);
  });

  it('does not serve who speaks without', async () => {
    await open();
    await expect(stage.client().call(publish, request)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('knows who shows a certificate of its authorities', async () => {
    await open({ clientCa: true });
    await call(authority, 'ann');
    expect(stage.broker.publishers).toMatchObject([{ kind: 'certificate', name: 'ann' }]);
  });

  it('takes nobody by a certificate that others have signed', async () => {
    await open({ clientCa: true });
    await expect(call(await makeAuthority('somebody'), 'ann')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(stage.broker.publishers).toEqual([]);
    expect(stage.gateway.refusedConnections).toBeGreaterThan(0);
  });

  it('lets in who shows none, unless it is required', async () => {
    await open({ clientCa: true });
    await call();
    expect(stage.broker.publishers).toMatchObject([{ kind: 'anonymous' }]);
  });

  it('refuses who shows none where it is required', async () => {
    await open({ clientCa: true, required: true });
    await expect(call()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('shows new certificates to connections to come', async () => {
    await open();
    const renewed = await makeAuthority('renewed');
    stage.gateway.setIdentity(await renewed.issue({ names: ['localhost'], ips: ['127.0.0.1'] }));
    await expect(call()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    authority = renewed;
    await call();
  });

  it('survives a client that leaves in the middle of the handshake', async () => {
    await open();
    const socket = connectTls({ port: stage.gateway.port, rejectUnauthorized: false });
    socket.on('error', () => undefined);
    socket.destroy();
    await call();
  });
});

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turns(1);
}

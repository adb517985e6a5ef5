import { connect } from 'node:net';
import { connect as connectTls, createServer } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { SluiceError } from '../../../src/kernel/errors.ts';
import { systemClock } from '../../../src/kernel/system-clock.ts';
import { BULK_PROTOCOL } from '../../../src/transport/bulk/bulk-protocol.ts';
import { KIND } from '../../../src/transport/bulk/frames.ts';
import { NodePort } from '../../../src/transport/grpc/node-port.ts';
import { checkNodeIdentity } from '../../../src/security/node-identity.ts';
import { NodeAuthority } from '../../support/node-certificates.ts';
import { turns } from '../../support/turns.ts';
import type { StreamEnd } from './bulk-stage.ts';
import { CHAT, authority, bulkStage, tlsOfA, tlsOfB, until } from './bulk-stage.ts';
import { frame, openFrame } from './raw-caller.ts';

const strangers = await NodeAuthority.create();

describe('who calls a bulk stream', () => {
  const stage = bulkStage();

  /** What a caller that is let in has said comes. */
  async function isServed(caller: StreamEnd): Promise<void> {
    const before = stage.called.length;
    caller.say('hello');
    await until(() => stage.called[before]?.got.length === 1);
  }

  it('is told that there is no such method', async () => {
    const caller = stage.dial({ ...CHAT, path: '/test.Test/Unknown' });
    expect(await caller.ended).toMatchObject({ code: 'UNSUPPORTED' });
    await isServed(stage.dial());
  });

  it('does not reach single calls', async () => {
    const caller = stage.dial({ ...CHAT, path: '/grpc.health.v1.Health/Check' });
    expect(await caller.ended).toMatchObject({ code: 'UNSUPPORTED' });
  });

  it.each([
    ['a message', frame(KIND.message, 'hello'), 'PROTOCOL_ERROR'],
    ['an end', frame(KIND.end), 'PROTOCOL_ERROR'],
    ['a frame of a kind that is not known', frame(9, 'x'), 'PROTOCOL_ERROR'],
    ['nonsense', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'PROTOCOL_ERROR'],
    ['a path that is too long', openFrame('x'.repeat(257)), 'OVERLOADED'],
    ['a sign of life with something in it', frame(KIND.alive, 'x'), 'OVERLOADED'],
  ])('is told why when its first frame is %s', async (_, first, code) => {
    const raw = await stage.raw();
    raw.send(first, openFrame(CHAT.path));
    await raw.closed;
    expect(raw.code).toBe(code);
    expect(stage.called).toEqual([]);
    await until(() => stage.clock.pendingTimers === 0);
  });

  it('may say that it is there before it opens the stream', async () => {
    const raw = await stage.raw();
    raw.send(frame(KIND.alive), openFrame(CHAT.path), frame(KIND.alive), frame(KIND.message, 'hello'));
    await until(() => stage.called[0]?.got.length === 1);
    expect(raw.frames).toEqual([]);
  });

  it('cannot open a stream again', async () => {
    const raw = await stage.raw();
    raw.send(openFrame(CHAT.path), frame(KIND.message, 'hello'), openFrame(CHAT.path));
    await raw.closed;
    expect(raw.code).toBe('PROTOCOL_ERROR');
    expect(await stage.called[0]!.ended).toMatchObject({ code: 'PROTOCOL_ERROR' });
    expect(stage.called[0]!.texts).toEqual(['hello']);
  });

  it('is told when it says something of a kind that is not known', async () => {
    const raw = await stage.raw();
    raw.send(openFrame(CHAT.path), frame(7));
    await raw.closed;
    expect(raw.code).toBe('PROTOCOL_ERROR');
    expect(await stage.called[0]!.ended).toMatchObject({ code: 'PROTOCOL_ERROR' });
  });

  it('ends it for the called end with the error that it gives', async () => {
    const raw = await stage.raw();
    raw.send(openFrame(CHAT.path), frame(KIND.end, 'OVERLOADED\ntoo much'));
    await raw.closed;
    expect(await stage.called[0]!.ended).toMatchObject({ code: 'OVERLOADED', message: 'too much' });
  });

  it.each([
    ['a code that is not known', 'FUTURE_CODE\ntext', 'text'],
    ['a code that every object has', 'toString\ntext', 'text'],
    ['no line feed', 'OVERLOADED', 'OVERLOADED'],
  ])('ends it with INTERNAL by %s', async (_, payload, message) => {
    const raw = await stage.raw();
    raw.send(openFrame(CHAT.path), frame(KIND.end, payload));
    await until(() => stage.called.length === 1);
    expect(await stage.called[0]!.ended).toMatchObject({ code: 'INTERNAL', message });
  });

  it('is not let in with a certificate of another authority', async () => {
    const tls = { ...(await strangers.tls('a')), authoritiesPem: authority.certificatePem };
    const caller = stage.dial(CHAT, { tls });
    caller.say('hello');
    expect(await caller.ended).toMatchObject({ code: 'UNAVAILABLE' });
    expect(stage.called).toEqual([]);
    await isServed(stage.dial());
  });

  it.each([BULK_PROTOCOL, 'h2'])('is not let in without a certificate, by %s', async (protocol) => {
    const bare = connectTls({
      ...{ host: '127.0.0.1', port: stage.server.port, ca: authority.certificatePem },
      ...{ ALPNProtocols: [protocol], checkServerIdentity: () => undefined },
    });
    bare.on('error', () => undefined);
    bare.write(openFrame(CHAT.path));
    await new Promise((resolve) => bare.on('close', resolve));
    expect(stage.called).toEqual([]);
    await isServed(stage.dial());
  });

  it('is not let in without TLS', async () => {
    const plain = connect(stage.server.port, '127.0.0.1');
    plain.on('error', () => undefined);
    plain.write(openFrame(CHAT.path));
    await new Promise((resolve) => plain.on('close', resolve));
    expect(stage.called).toEqual([]);
    await isServed(stage.dial());
  });

  it.each([{ ALPNProtocols: ['sluice-bulk/99'] }, {}])(
    'is not let in by another protocol: %j',
    async (alpn) => {
      const { identity } = tlsOfA;
      const other = connectTls({
        ...{ host: '127.0.0.1', port: stage.server.port, ca: authority.certificatePem, ...alpn },
        ...{ cert: identity.certificatePem, key: identity.privateKeyPem },
        checkServerIdentity: () => undefined,
      });
      other.on('error', () => undefined);
      other.write(openFrame(CHAT.path));
      await new Promise((resolve) => other.on('close', resolve));
      expect(stage.called).toEqual([]);
    },
  );

  it('is told why when its certificate does not say who it is', async () => {
    await stage.reopen({ identify: (der) => checkNodeIdentity(der, { cluster: 'main', nodeId: undefined }) });
    const caller = stage.dial(CHAT, { tls: await authority.tls('a', { cluster: 'other' }) });
    caller.say('hello');
    expect(await caller.ended).toMatchObject({ code: 'CERTIFICATE_REJECTED' });
    expect(stage.called).toEqual([]);
    await isServed(stage.dial());
    expect(stage.callers).toMatchObject([{ nodeId: 'a' }]);
  });
});

describe('who is called for a bulk stream', () => {
  const stage = bulkStage();

  it('is told nothing when it is another node than the one that is meant', async () => {
    const caller = stage.dial(CHAT, {
      check: (der) => checkNodeIdentity(der, { cluster: 'main', nodeId: 'c' }),
    });
    caller.say('secret');
    expect(await caller.ended).toMatchObject({ code: 'CERTIFICATE_REJECTED' });
    await turns(20);
    expect(stage.called).toEqual([]);
  });

  it('is told nothing when it is of another authority', async () => {
    await stage.reopen({ tls: { ...(await strangers.tls('b')), authoritiesPem: authority.certificatePem } });
    const caller = stage.dial();
    caller.say('secret');
    expect(await caller.ended).toMatchObject({ code: 'UNAVAILABLE' });
    await turns(20);
    expect(stage.called).toEqual([]);
  });

  it.each([
    ['an older version that knows no such streams', 'h2'],
    ['a newer version that knows only newer ones', 'sluice-bulk/99'],
  ])('may be of %s', async (_, protocol) => {
    const port = await NodePort.listen(
      { host: '127.0.0.1', port: 0, tls: tlsOfB, clock: systemClock },
      { [protocol]: (socket) => socket.end() },
    );
    const caller = stage.dial(CHAT, { port: port.port });
    caller.say('hello');
    const error = await caller.ended;
    expect(error).toMatchObject({ code: 'VERSION_MISMATCH' });
    expect(error?.message).not.toMatch(/ssl|alert/i);
    port.close();
  });

  it('may speak no protocol that has a name', async () => {
    const { identity, authoritiesPem } = tlsOfB;
    const server = createServer(
      { cert: identity.certificatePem, key: identity.privateKeyPem, ca: authoritiesPem },
      (socket) => socket.on('error', () => undefined).resume(),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const caller = stage.dial(CHAT, { port: (server.address() as AddressInfo).port });
    caller.say('hello');
    expect(await caller.ended).toMatchObject({ code: 'VERSION_MISMATCH' });
    server.close();
  });

  it('may not be there', async () => {
    const { port } = stage.server;
    await stage.stop();
    const caller = stage.dial(CHAT, { port });
    caller.stream.end();
    expect(await caller.ended).toMatchObject({ code: 'UNAVAILABLE' });
    expect(stage.callerClock.pendingTimers).toBe(0);
  });

  it('is not called with certificates that cannot be used', () => {
    const mixed = {
      ...tlsOfA,
      identity: { ...tlsOfA.identity, privateKeyPem: tlsOfB.identity.privateKeyPem },
    };
    for (const tls of [mixed, { ...tlsOfA, authoritiesPem: '' }]) {
      expect(() => stage.dial(CHAT, { tls })).toThrow(
        expect.objectContaining({ code: 'INVALID_CONFIG' }) as SluiceError,
      );
    }
  });
});

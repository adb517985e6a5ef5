import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GrpcTls } from '../../../src/transport/grpc/grpc-tls.ts';
import { NodePort } from '../../../src/transport/grpc/node-port.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { NodeAuthority } from '../../support/node-certificates.ts';
import { turns } from '../../support/turns.ts';

const authority = await NodeAuthority.create();
const tls = await authority.tls('n');
const tlsOfOther = await authority.tls('m');

describe('a port between nodes', () => {
  let clock: FakeClock;
  let port: NodePort;
  let taken: TLSSocket[];
  let sockets: Socket[];
  beforeEach(async () => {
    clock = new FakeClock();
    taken = [];
    sockets = [];
    port = await NodePort.listen(
      { host: '127.0.0.1', port: 0, tls, clock },
      { test: (socket) => taken.push(socket) },
    );
  });
  afterEach(() => {
    for (const socket of [...sockets, ...taken]) socket.destroy();
    port.close();
  });

  function keep<S extends Socket>(socket: S): S {
    socket.on('error', () => undefined);
    socket.resume();
    sockets.push(socket);
    return socket;
  }

  /** A connection on which nothing has been said. */
  async function dial(): Promise<Socket> {
    const socket = keep(connect(port.port, '127.0.0.1'));
    await once(socket, 'connect');
    return socket;
  }

  async function dialSecurely({ identity }: GrpcTls = tls): Promise<TLSSocket> {
    const socket = keep(
      connectTls({
        ...{ port: port.port, host: '127.0.0.1', ca: authority.certificatePem, ALPNProtocols: ['test'] },
        ...{
          cert: identity.certificatePem,
          key: identity.privateKeyPem,
          checkServerIdentity: () => undefined,
        },
      }),
    );
    const before = taken.length;
    while (taken.length === before) await turns(1);
    return socket;
  }

  const ended = (socket: Socket): Promise<unknown> =>
    socket.destroyed ? Promise.resolve() : once(socket, 'close');

  it('closes what is not secure after 10 s, though more of a handshake comes all the time', async () => {
    const silent = await dial();
    const slow = await dial();
    while (clock.pendingTimers < 2) await turns(1);
    // The beginning of a record that holds a ClientHello of 256 bytes.
    slow.write(Buffer.from([0x16, 3, 1, 1, 4, 1, 0, 1, 0]));
    clock.advance(9_999);
    slow.write(Buffer.from([3, 3]));
    const secure = await dialSecurely();
    expect([silent.destroyed, slow.destroyed]).toEqual([false, false]);
    clock.advance(1);
    await Promise.all([ended(silent), ended(slow)]);
    clock.advance(60_000);
    await turns();
    expect(secure.destroyed).toBe(false);
    expect(clock.pendingTimers).toBe(0);
  });

  it('keeps a bounded number of connections that are not secure, of which the oldest goes first', async () => {
    const first = await dial();
    for (let count = 1; count < 512; count++) await dial();
    while (clock.pendingTimers < 512) await turns(1);
    expect(first.destroyed).toBe(false);
    const secure = await dialSecurely();
    await ended(first);
    expect(sockets.filter(({ destroyed }) => destroyed)).toEqual([first]);
    expect(secure.destroyed).toBe(false);
  });

  it('keeps a bounded number of connections of one certificate, of which the oldest goes first', async () => {
    const other = await dialSecurely(tlsOfOther);
    const first = await dialSecurely();
    for (let count = 1; count < 64; count++) await dialSecurely();
    expect(first.destroyed).toBe(false);
    await dialSecurely();
    await ended(first);
    expect(sockets.filter(({ destroyed }) => destroyed)).toEqual([first]);
    expect(other.destroyed).toBe(false);
  });
});

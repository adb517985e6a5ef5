import type { AddressInfo, Socket } from 'node:net';
import type { Server, TLSSocket } from 'node:tls';
import { createServer } from 'node:tls';
import type { Clock } from '../../kernel/clock.ts';
import { listenTcp } from '../bind.ts';
import type { GrpcTls } from './grpc-tls.ts';
import { secureContextOptions } from './grpc-tls.ts';
import { NewestSockets } from './newest-sockets.ts';

/** A connection has to be secure after so long, milliseconds, however busy it is. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Connections that are not secure yet; for each one more the oldest goes, which has had the most time. */
const HANDSHAKES_MAX = 512;
/** Connections of one certificate; for each one more the oldest goes. A node has four, and for a while four that it has lost. */
const CONNECTIONS_MAX = 64;

/** Takes the connections of one protocol. */
export type TakeConnection = (socket: TLSSocket) => void;

/** Where a port is and what it shows. */
export interface NodePortOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  readonly tls: GrpcTls;
  readonly clock: Clock;
}

/**
 * A TCP port for connections with mutual TLS, which go to whoever takes their protocol (ALPN).
 *
 * Who can only connect, and who has a certificate and uses it without measure, keeps no more of them than a bounded number, and keeps no other node away.
 */
export class NodePort {
  readonly port: number;
  readonly #server: Server;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  /**
   * @param takers by name of the protocol, the best first
   * @throws INVALID_CONFIG when the certificates cannot be used; ADDRESS_IN_USE
   */
  static async listen(
    { host, port, tls, clock }: NodePortOptions,
    takers: Readonly<Record<string, TakeConnection>>,
  ): Promise<NodePort> {
    const server = createServer({
      ...secureContextOptions(tls),
      ...{ requestCert: true, rejectUnauthorized: true },
      ALPNProtocols: Object.keys(takers),
      noDelay: true,
    });
    boundHandshakes(server, clock);
    handOut(server, takers);
    const { port: bound }: AddressInfo = await listenTcp(server, { host, port }, 'peer.listen');
    return new NodePort(server, bound);
  }

  /** New certificates for connections to come. @throws INVALID_CONFIG, and nothing has changed then */
  setTls(tls: GrpcTls): void {
    this.#server.setSecureContext(secureContextOptions(tls));
  }

  /** Takes no more connections; those that are there stay. */
  close(): void {
    this.#server.close();
  }
}

/** Node's own timeout closes nothing, and begins anew with every byte that comes. */
function boundHandshakes(server: Server, clock: Clock): void {
  const handshakes = new NewestSockets<Socket>(HANDSHAKES_MAX);
  /** Ends the waiting by where the connection comes from: a secure socket is another object than that below it. */
  const waiting = new Map<string, () => void>();
  server.prependListener('connection', (socket: Socket) => {
    const from = originOf(socket);
    const timer = clock.setTimer(HANDSHAKE_TIMEOUT_MS, () => socket.destroy());
    const done = (): void => {
      timer.cancel();
      handshakes.delete(socket);
      if (waiting.get(from) === done) waiting.delete(from);
    };
    waiting.set(from, done);
    socket.once('close', done);
    handshakes.add(socket);
  });
  server.on('secureConnection', (socket) => waiting.get(originOf(socket))?.());
}

function handOut(server: Server, takers: Readonly<Record<string, TakeConnection>>): void {
  const connections = new Map<string, NewestSockets<TLSSocket>>();
  server.on('secureConnection', (socket) => {
    socket.on('error', () => undefined);
    const take = socket.alpnProtocol ? takers[socket.alpnProtocol] : undefined;
    const certificate = socket.getPeerX509Certificate()?.fingerprint256;
    // Who was shaking hands when it was closed comes too late.
    if (!take || certificate === undefined || !server.listening) {
      socket.destroy();
      return;
    }
    const own = connections.get(certificate) ?? new NewestSockets<TLSSocket>(CONNECTIONS_MAX);
    connections.set(certificate, own);
    socket.once('close', () => {
      own.delete(socket);
      if (own.size === 0) connections.delete(certificate);
    });
    own.add(socket);
    take(socket);
  });
}

function originOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

import type { AddressInfo } from 'node:net';
import type { Server, TLSSocket } from 'node:tls';
import { createServer } from 'node:tls';
import { listenTcp } from '../bind.ts';
import type { GrpcTls } from './grpc-tls.ts';
import { secureContextOptions } from './grpc-tls.ts';

/** A connection has to be secure after so long, milliseconds. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** Takes the connections of one protocol. */
export type TakeConnection = (socket: TLSSocket) => void;

/** A TCP port for connections with mutual TLS, which go to whoever takes their protocol (ALPN). */
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
    { host, port, tls }: { readonly host: string; readonly port: number; readonly tls: GrpcTls },
    takers: Readonly<Record<string, TakeConnection>>,
  ): Promise<NodePort> {
    const server = createServer(
      {
        ...secureContextOptions(tls),
        ...{ requestCert: true, rejectUnauthorized: true, handshakeTimeout: HANDSHAKE_TIMEOUT_MS },
        ALPNProtocols: Object.keys(takers),
        noDelay: true,
      },
      (socket) => {
        socket.on('error', () => undefined);
        const take = socket.alpnProtocol ? takers[socket.alpnProtocol] : undefined;
        // Who was shaking hands when it was closed comes too late.
        if (take && server.listening) take(socket);
        else socket.destroy();
      },
    );
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

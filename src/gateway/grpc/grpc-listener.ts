import type { ConnectionInjector, Server } from '@grpc/grpc-js';
import { ServerCredentials } from '@grpc/grpc-js';
import type { AddressInfo, Server as NetServer, Socket } from 'node:net';
import { createServer } from 'node:net';
import type { Server as TlsServer, TLSSocket } from 'node:tls';
import { createServer as createTlsServer } from 'node:tls';
import type { Clock } from '../../kernel/clock.ts';
import { listenTcp } from '../../transport/bind.ts';
import { clientRefusal } from '../../transport/http2/client-refusal.ts';
import { serverContext } from '../../transport/tls-identity.ts';
import type { TlsIdentity } from '../../transport/transport.ts';

/** What a listener shows its clients, and asks of them. */
export interface GrpcSecurity {
  readonly identity: TlsIdentity;
  /** Authorities of client certificates, PEM; undefined: none are asked for. */
  readonly clientAuthoritiesPem: string | undefined;
  readonly requireClientCertificate: boolean;
}

/** Where and how to listen. */
export interface GrpcListenOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** Null: without TLS. */
  readonly security: GrpcSecurity | null;
  /** Connections at once, handshakes included; more are closed. */
  readonly maxConnections: number;
  readonly handshakeTimeoutMs: number;
  readonly clock: Clock;
}

/**
 * Takes TCP connections for a gRPC server. It does so itself, because grpc-js has no bound for them and does not say which certificates of
 * clients have been verified: what gets to the server is a connection whose certificate, if it has one, is right.
 */
export class GrpcListener {
  readonly #options: GrpcListenOptions;
  readonly #injector: ConnectionInjector;
  readonly #server: NetServer | TlsServer;
  readonly #sockets = new Set<Socket>();
  #security: GrpcSecurity | null;
  #address: AddressInfo | undefined;
  #stopped: Promise<void> | undefined;
  /** Connections that were not let in: too many, without TLS, with a certificate that is not right. */
  refused = 0;

  private constructor(options: GrpcListenOptions, server: Server) {
    this.#options = options;
    this.#security = options.security;
    this.#injector = server.createConnectionInjector(ServerCredentials.createInsecure());
    this.#server = options.security ? this.#tlsServer(options.security) : this.#plainServer();
    this.#server.maxConnections = options.maxConnections;
    this.#server.on('drop', () => (this.refused += 1));
  }

  /** @param server gets the connections @throws ADDRESS_IN_USE, INVALID_CONFIG */
  static async open(options: GrpcListenOptions, server: Server): Promise<GrpcListener> {
    const listener = new GrpcListener(options, server);
    listener.#address = await listenTcp(listener.#server, options, 'grpc.listen');
    return listener;
  }

  get host(): string {
    return this.#address?.address ?? this.#options.host;
  }

  get port(): number {
    return this.#address?.port ?? this.#options.port;
  }

  get connectionCount(): number {
    return this.#sockets.size;
  }

  /** New certificates for connections to come; undefined authorities: those from before. @throws INVALID_CONFIG, and nothing has changed */
  setIdentity(identity: TlsIdentity, clientAuthoritiesPem = this.#security?.clientAuthoritiesPem): void {
    if (!this.#security) return;
    const security = { ...this.#security, identity, clientAuthoritiesPem };
    (this.#server as TlsServer).setSecureContext(serverContext(security));
    this.#security = security;
  }

  /** Takes no more connections. Resolves when those there are have ended. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= new Promise((resolve) => this.#server.close(() => resolve()));
    return this.#stopped;
  }

  /** Cuts off what is left. */
  async close(): Promise<void> {
    const stopped = this.stop();
    for (const socket of this.#sockets) socket.destroy();
    await stopped;
  }

  #plainServer(): NetServer {
    const server = createServer({ noDelay: true }, (socket) => {
      this.#keep(socket);
      this.#injector.injectConnection(socket);
    });
    return server;
  }

  #tlsServer(security: GrpcSecurity): TlsServer {
    const server = createTlsServer({
      ...serverContext(security),
      requestCert: security.clientAuthoritiesPem !== undefined,
      // Whom to let in is decided once it is known; see `clientRefusal`.
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
      handshakeTimeout: this.#options.handshakeTimeoutMs,
      noDelay: true,
    });
    server.on('connection', (socket: Socket) => this.#keep(socket));
    server.on('tlsClientError', () => (this.refused += 1));
    server.on('secureConnection', (socket) => this.#secured(socket));
    return server;
  }

  #secured(socket: TLSSocket): void {
    socket.on('error', () => undefined); // the connection ends, and that is all there is to it
    const { clock } = this.#options;
    const required = this.#security?.requireClientCertificate ?? false;
    if (clientRefusal(socket, required, clock) === undefined) {
      this.#injector.injectConnection(socket);
      return;
    }
    this.refused += 1;
    socket.destroy();
  }

  #keep(socket: Socket): void {
    socket.on('error', () => undefined);
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }
}

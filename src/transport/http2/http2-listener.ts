import type { Http2SecureServer, ServerHttp2Session } from 'node:http2';
import { createSecureServer } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../../kernel/clock.ts';
import { ERRORS, SluiceError } from '../../kernel/errors.ts';
import { listenTcp } from '../bind.ts';
import { serverContext } from '../tls-identity.ts';
import type { Connection, Listener, ListenOptions, TlsIdentity } from '../transport.ts';
import type { Http2Connection } from './http2-connection.ts';
import { serverLimits } from './http2-limits.ts';
import { greet, turnAway } from './http2-server.ts';
import { clientRefusal } from './client-refusal.ts';

/** Listens on TCP for the native protocol over HTTP/2. */
export class Http2Listener implements Listener {
  readonly #server: Http2SecureServer;
  #options: ListenOptions;
  readonly #clock: Clock;
  readonly #onConnection: (connection: Connection) => void;
  readonly #connections = new Set<Http2Connection>();
  readonly #sockets = new Set<Socket>();
  #address: AddressInfo | undefined;
  #paused = false;
  #closing: Promise<void> | undefined;

  private constructor(options: ListenOptions, clock: Clock, onConnection: (connection: Connection) => void) {
    this.#options = options;
    this.#clock = clock;
    this.#onConnection = onConnection;
    this.#server = createServer(options);
    this.#server.maxConnections = options.limits.maxConnections;
    this.#watch();
  }

  /** @throws ADDRESS_IN_USE, INVALID_CONFIG */
  static async open(
    options: ListenOptions,
    clock: Clock,
    onConnection: (connection: Connection) => void,
  ): Promise<Http2Listener> {
    const listener = new Http2Listener(options, clock, onConnection);
    listener.#address = await listenTcp(listener.#server, options, 'tls.listen');
    return listener;
  }

  get host(): string {
    return this.#address?.address ?? this.#options.host;
  }

  get port(): number {
    return this.#address?.port ?? this.#options.port;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  setIdentity(identity: TlsIdentity, clientAuthoritiesPem = this.#options.clientAuthoritiesPem): void {
    const options = { ...this.#options, identity, clientAuthoritiesPem };
    try {
      this.#server.setSecureContext(serverContext(options));
    } catch (error) {
      throw unusable(error);
    }
    this.#options = options;
  }

  pause(): void {
    this.#paused = true;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#paused = true;
    const connections = [...this.#connections];
    for (const connection of connections) connection.close(ERRORS.CLOSED.wire, 'the listener is closed');
    await Promise.all(connections.map((connection) => connection.ended));
    for (const socket of this.#sockets) socket.destroy(); // handshakes under way
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #watch(): void {
    this.#server.prependListener('connection', (socket: Socket) => {
      if (this.#paused) {
        socket.destroy();
        return;
      }
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    // `session.socket` stands in front of the socket and cannot destroy it; the session is made right after this event.
    let secured: TLSSocket;
    this.#server.prependListener('secureConnection', (socket: TLSSocket) => {
      socket.setNoDelay(true);
      secured = socket;
    });
    this.#server.on('unknownProtocol', (socket: TLSSocket) => socket.destroy());
    this.#server.on('session', (session) => this.#accept(session, secured));
  }

  #accept(session: ServerHttp2Session, socket: TLSSocket): void {
    const { requireClientCertificate, limits } = this.#options;
    const refusal = clientRefusal(socket, requireClientCertificate, this.#clock);
    if (refusal !== undefined) {
      turnAway(session, socket, this.#clock, refusal);
      return;
    }
    greet({ session, socket, clock: this.#clock, limits }, (connection) => {
      this.#connections.add(connection);
      void connection.ended.then(() => this.#connections.delete(connection));
      connection.handOut(this.#onConnection);
    });
  }
}

function createServer(options: ListenOptions): Http2SecureServer {
  try {
    return createSecureServer({
      ...serverLimits(options.limits),
      ...serverContext(options),
      requestCert: options.clientAuthoritiesPem !== undefined,
      // Node would hang up without a word: whom to let in is decided, and told, in `#accept`.
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
      handshakeTimeout: options.limits.handshakeTimeoutMs,
    });
  } catch (error) {
    throw unusable(error);
  }
}

function unusable(error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  const advice = 'check that both are PEM and belong together';
  return new SluiceError('INVALID_CONFIG', `certificate or key of the server cannot be used: ${advice}`, {
    cause: error,
  });
}

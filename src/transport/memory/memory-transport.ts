import type { Clock } from '../../kernel/clock.ts';
import { ERRORS, SluiceError } from '../../kernel/errors.ts';
import { systemClock } from '../../kernel/system-clock.ts';
import type {
  Connection,
  ConnectOptions,
  Listener,
  ListenOptions,
  TlsIdentity,
  Transport,
} from '../transport.ts';
import type { MemoryLink } from './memory-connection.ts';
import { createSchedule, MemoryConnection } from './memory-connection.ts';

/** What a test may want to change about a transport in memory. */
export interface MemoryTransportOptions {
  /** Measures how long streams were blocked; default the system's clock. */
  readonly clock?: Clock;
  /** Asked for every datagram; true loses it. Default: none is lost. */
  readonly dropDatagram?: (bytes: Uint8Array) => boolean;
  /** Largest piece handed to one `onData` call, in bytes; small values shake out parsers. Default 64 KiB. */
  readonly maxChunkBytes?: number;
}

const FIRST_FREE_PORT = 40_000;

/**
 * Creates a network of its own in this process: listeners and connections that know each other by `host:port`.
 *
 * Streams have real windows (`streamWindowBytes` of the reading end) and `maxStreams` is kept. Everything is delivered in
 * microtasks, never from inside the call that causes it. There is no TLS: certificates are shown to the peer but not
 * verified, only `requireClientCertificate` is kept. Idle timeouts, keep-alives and the connection window do not exist.
 */
export function createMemoryTransport(options: MemoryTransportOptions = {}): Transport {
  const listeners = new Map<string, MemoryListener>();
  const link = (): MemoryLink => ({
    clock: options.clock ?? systemClock,
    maxChunkBytes: options.maxChunkBytes ?? 64 * 1024,
    dropDatagram: options.dropDatagram ?? (() => false),
    schedule: createSchedule(),
  });
  let nextPort = FIRST_FREE_PORT;
  return {
    scheme: 'memory',
    async listen(listenOptions, onConnection) {
      const port = listenOptions.port === 0 ? nextPort++ : listenOptions.port;
      const address = `${listenOptions.host}:${port}`;
      if (listeners.has(address)) {
        throw new SluiceError('ADDRESS_IN_USE', `${address} is taken: choose another port`);
      }
      const listener = new MemoryListener(port, listenOptions, onConnection, () => listeners.delete(address));
      listeners.set(address, listener);
      return Promise.resolve(listener);
    },
    async connect(connectOptions) {
      if (connectOptions.signal?.aborted === true)
        throw new SluiceError('CANCELLED', 'connecting was given up');
      const address = `${connectOptions.host}:${connectOptions.port}`;
      const listener = listeners.get(address);
      if (!listener) throw new SluiceError('CONNECT_FAILED', `nothing listens on ${address}`);
      return Promise.resolve(listener.accept(link(), connectOptions, `${connectOptions.host}:${nextPort++}`));
    },
  };
}

class MemoryListener implements Listener {
  readonly host: string;
  readonly port: number;
  readonly #options: ListenOptions;
  readonly #onConnection: (connection: Connection) => void;
  readonly #unbind: () => void;
  readonly #connections = new Set<MemoryConnection>();
  #identity: TlsIdentity;
  #paused = false;
  #closing: Promise<void> | undefined;
  #onAllGone: (() => void) | undefined;

  constructor(
    port: number,
    options: ListenOptions,
    onConnection: (connection: Connection) => void,
    unbind: () => void,
  ) {
    this.host = options.host;
    this.port = port;
    this.#options = options;
    this.#onConnection = onConnection;
    this.#unbind = unbind;
    this.#identity = options.identity;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  setIdentity(identity: TlsIdentity): void {
    this.#identity = identity;
  }

  pause(): void {
    this.#paused = true;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /**
   * Makes both ends of a connection. The client has its end before the server's owner hears of the other one.
   * @throws CONNECT_FAILED, CERTIFICATE_REJECTED
   */
  accept(link: MemoryLink, client: ConnectOptions, clientAddress: string): Connection {
    this.#admit(client);
    const server = this.#options;
    const clientEnd = new MemoryConnection(
      link,
      {
        side: 'client',
        remoteAddress: `${this.host}:${this.port}`,
        peerCertificate: derOf(this.#identity),
        limits: client.limits,
      },
      server.limits,
      () => undefined,
    );
    const serverEnd: MemoryConnection = new MemoryConnection(
      link,
      {
        side: 'server',
        remoteAddress: clientAddress,
        peerCertificate: server.clientAuthoritiesPem === undefined ? undefined : derOf(client.identity),
        limits: server.limits,
      },
      client.limits,
      () => this.#gone(serverEnd),
    );
    MemoryConnection.join(clientEnd, serverEnd);
    this.#connections.add(serverEnd);
    // Two turns later, so that whoever awaits `connect` has set its callbacks.
    link.schedule(() => link.schedule(() => link.schedule(() => serverEnd.handOut(this.#onConnection))));
    return clientEnd;
  }

  async #close(): Promise<void> {
    this.#paused = true;
    this.#unbind();
    if (this.#connections.size === 0) return;
    const allGone = new Promise<void>((resolve) => {
      this.#onAllGone = resolve;
    });
    for (const connection of this.#connections)
      connection.close(ERRORS.CLOSED.wire, 'the listener is closed');
    await allGone;
  }

  #admit(client: ConnectOptions): void {
    const address = `${this.host}:${this.port}`;
    if (this.#paused) throw new SluiceError('CONNECT_FAILED', `${address} takes no new connections`);
    if (this.#connections.size >= this.#options.limits.maxConnections) {
      throw new SluiceError('CONNECT_FAILED', `${address} has as many connections as it keeps`);
    }
    if (this.#options.requireClientCertificate && derOf(client.identity) === undefined) {
      throw new SluiceError('CERTIFICATE_REJECTED', `${address} requires a client certificate`);
    }
  }

  #gone(connection: MemoryConnection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#onAllGone?.();
  }
}

/** The first certificate of an identity in DER; undefined when there is none. */
function derOf(identity: TlsIdentity | undefined): Uint8Array | undefined {
  const match = /-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----/.exec(
    identity?.certificatePem ?? '',
  );
  return match ? Buffer.from(match[1]!, 'base64') : undefined;
}

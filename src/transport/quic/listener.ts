import type { RemoteInfo } from 'node:dgram';
import { ERRORS, SluiceError } from '../../kernel/errors.ts';
import { RateLimit } from '../../kernel/rate-limit.ts';
import { bindError } from '../bind.ts';
import { checkIdentity } from '../tls-identity.ts';
import type { Connection, Listener, ListenOptions, TlsIdentity } from '../transport.ts';
import { LOOPBACK_PACKET_BYTES, PATH_PACKET_BYTES, isLoopback, makeConfig } from './config.ts';
import type { TlsSetup, TuningSettings } from './config.ts';
import { QuicConnection } from './connection.ts';
import type { ConnectionContext } from './connection.ts';
import { CID_BYTES, quiche } from './native.ts';
import type { HostPort, NativeConfig, NativeConnection } from './native.ts';
import { cidKey, isLongHeader, parseLongHeader, shortHeaderKey } from './packet-header.ts';
import type { LongHeader } from './packet-header.ts';
import { addressText } from './peer-address.ts';
import { RetryTokens } from './retry-token.ts';
import { RESET_KEY_BYTES, ResetTokens, deservesReset, resetFor } from './stateless-reset.ts';
import { verifyClient } from './tls-verification.ts';
import { UdpSocket } from './udp-socket.ts';

/** Smaller datagrams with an Initial are refused, so that answers amplify nothing; RFC 9000 section 14.1. */
const MIN_INITIAL_BYTES = 1200;
const TICKET_KEY_BYTES = 48;
/** QUIC transport error CONNECTION_REFUSED. */
const CONNECTION_REFUSED = 2;
/** Most packets of a server's first flight, certificates included. */
const MAX_FLIGHT_PACKETS = 16;
/** Most stateless resets per second. Clients ask again, so after a restart with more of them all are told in the end. */
const RESETS_PER_SECOND = 1_000;

/** Settings of a listener beyond what every transport has. */
export interface ListenerSettings extends TuningSettings {
  /** Size of UDP payloads for every peer; undefined: by the peer's address. */
  readonly packetBytes: number | undefined;
  /** See `QuicTransportOptions.resetKey`. */
  readonly resetKey: Uint8Array | undefined;
}

/** Opens a QUIC listener. @throws ADDRESS_IN_USE, INVALID_CONFIG */
export async function listen(
  context: ConnectionContext,
  options: ListenOptions,
  settings: ListenerSettings,
  onConnection: (connection: Connection) => void,
): Promise<Listener> {
  const listener = new QuicListener(context, options, settings, onConnection);
  await listener.open();
  return listener;
}

/** One bound socket and the connections it serves, found by the connection id in each packet. */
class QuicListener implements Listener {
  readonly #context: ConnectionContext;
  readonly #options: ListenOptions;
  readonly #settings: ListenerSettings;
  readonly #onConnection: (connection: Connection) => void;
  readonly #tokens: RetryTokens;
  readonly #resetTokens: ResetTokens;
  readonly #resetLimit: RateLimit;
  readonly #routes = new Map<string, QuicConnection>();
  readonly #connections = new Set<QuicConnection>();
  #configs: { readonly path: NativeConfig; readonly loopback: NativeConfig };
  #clientAuthoritiesPem: string | undefined;
  #socket!: UdpSocket;
  #live = 0;
  #paused = false;
  #closed = false;

  constructor(
    context: ConnectionContext,
    options: ListenOptions,
    settings: ListenerSettings,
    onConnection: (connection: Connection) => void,
  ) {
    this.#context = context;
    this.#options = options;
    this.#settings = settings;
    this.#onConnection = onConnection;
    this.#tokens = new RetryTokens(context.clock, context.random);
    this.#resetTokens = new ResetTokens(settings.resetKey ?? context.random.bytes(RESET_KEY_BYTES));
    this.#resetLimit = new RateLimit(context.clock, RESETS_PER_SECOND);
    this.#clientAuthoritiesPem = options.clientAuthoritiesPem;
    this.#configs = this.#makeConfigs(options.identity, options.clientAuthoritiesPem);
  }

  async open(): Promise<void> {
    const { host, port } = this.#options;
    try {
      this.#socket = await UdpSocket.bind(host, port, {
        onPacket: (packet, from) => this.#onPacket(packet, from),
        // ICMP about single peers; their connections end by their own timers.
        onError: () => undefined,
      });
    } catch (cause) {
      throw bindError(`${addressText({ host, port })}/udp (quic.listen)`, cause);
    }
  }

  get host(): string {
    return this.#socket.local.host;
  }

  get port(): number {
    return this.#socket.local.port;
  }

  get connectionCount(): number {
    return this.#live;
  }

  setIdentity(identity: TlsIdentity, clientAuthoritiesPem = this.#clientAuthoritiesPem): void {
    this.#configs = this.#makeConfigs(identity, clientAuthoritiesPem);
    this.#clientAuthoritiesPem = clientAuthoritiesPem;
  }

  pause(): void {
    this.#paused = true;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const connection of [...this.#connections]) {
      connection.close(ERRORS.CLOSED.wire, 'the listener closed');
      connection.turn();
      connection.dispose();
    }
    await this.#socket.close();
  }

  #makeConfigs(
    identity: TlsIdentity,
    clientAuthoritiesPem: string | undefined,
  ): { readonly path: NativeConfig; readonly loopback: NativeConfig } {
    const { requireClientCertificate, limits } = this.#options;
    if (requireClientCertificate && clientAuthoritiesPem === undefined) {
      throw new SluiceError(
        'INVALID_CONFIG',
        'client certificates are required, but no authority for them is given',
      );
    }
    checkIdentity(identity);
    // A new key with every identity: sessions of the old one are not resumed, so clients see the new certificate.
    const tls: TlsSetup = {
      side: 'server',
      authoritiesPem: clientAuthoritiesPem,
      requireCertificate: requireClientCertificate,
      identity,
      ticketKey: this.#context.random.bytes(TICKET_KEY_BYTES),
    };
    const { packetBytes } = this.#settings;
    return {
      path: makeConfig(limits, tls, packetBytes ?? PATH_PACKET_BYTES, this.#settings),
      loopback: makeConfig(limits, tls, packetBytes ?? LOOPBACK_PACKET_BYTES, this.#settings),
    };
  }

  #onPacket(packet: Buffer, from: RemoteInfo): void {
    if (packet.length === 0 || this.#closed) return;
    if (!isLongHeader(packet)) {
      const key = shortHeaderKey(packet);
      const known = key === undefined ? undefined : this.#routes.get(key);
      if (known !== undefined) known.receive(packet, from);
      else this.#reset(packet, from);
      return;
    }
    const header = parseLongHeader(packet);
    if (header === undefined) return;
    const connection = this.#routes.get(cidKey(header.destinationId));
    if (connection !== undefined) connection.receive(packet, from);
    else this.#greet(packet, header, from);
  }

  /** Tells the sender of a packet that its connection does not exist here, most likely not since a restart. */
  #reset(packet: Buffer, from: RemoteInfo): void {
    if (!deservesReset(packet) || !this.#resetLimit.take()) return;
    const reset = resetFor(packet, this.#resetTokens, this.#context.random);
    this.#reply({ host: from.address, port: from.port }, (out) => reset.copy(out));
  }

  /** Answers a packet that belongs to no connection, without keeping anything about it until its address is proven. */
  #greet(packet: Buffer, header: LongHeader, from: RemoteInfo): void {
    if (packet.length < MIN_INITIAL_BYTES || header.version === 0) return;
    const client: HostPort = { host: from.address, port: from.port };
    if (!quiche.versionIsSupported(header.version)) {
      this.#reply(client, (out) => quiche.negotiateVersion(header.sourceId, header.destinationId, out));
      return;
    }
    if (!header.initial) return;
    if (header.token.length === 0) {
      const retryId = this.#context.random.bytes(CID_BYTES);
      const token = this.#tokens.issue(client, header.destinationId, retryId);
      this.#reply(client, (out) =>
        quiche.retry(header.sourceId, header.destinationId, retryId, token, header.version, out),
      );
      return;
    }
    const originalId = this.#tokens.verify(header.token, client, header.destinationId);
    if (originalId !== undefined && header.destinationId.length === CID_BYTES) {
      this.#accept(packet, Buffer.from(header.destinationId), Buffer.from(originalId), from);
    }
  }

  /** Sends one packet that belongs to no connection. @returns whether there was one */
  #reply(client: HostPort, write: (out: Buffer) => number): boolean {
    try {
      const length = write(this.#socket.buffer);
      if (length > 0) this.#socket.send(length, client);
      return length > 0;
    } catch {
      // Ids that quiche cannot answer to: the packet is as good as random bytes.
      return false;
    }
  }

  #accept(packet: Buffer, firstId: Buffer, originalId: Buffer, from: RemoteInfo): void {
    const remote: HostPort = { host: from.address, port: from.port };
    const plain: HostPort = { host: from.address.split('%')[0]!, port: from.port };
    const loopback = isLoopback(from.address);
    const config = loopback ? this.#configs.loopback : this.#configs.path;
    let native: NativeConnection;
    try {
      // Becomes a transport parameter of this connection alone: quiche copies them.
      config.setStatelessResetToken(this.#resetTokens.numberOf(firstId));
      native = quiche.Connection.accept(firstId, originalId, this.#socket.local, plain, config);
    } catch {
      return;
    }
    if (this.#paused || this.#live >= this.#options.limits.maxConnections) {
      this.#refuse(native, packet, { from: plain, to: this.#socket.local }, remote);
      return;
    }
    this.#live += 1;
    const connection = new QuicConnection(this.#context, {
      native,
      side: 'server',
      socket: this.#socket,
      remote,
      firstId,
      resetTokens: this.#resetTokens,
      routes: {
        add: (key, routed) => this.#routes.set(key, routed),
        remove: (key) => this.#routes.delete(key),
      },
      limits: this.#options.limits,
      packetBytes: this.#settings.packetBytes ?? (loopback ? LOOPBACK_PACKET_BYTES : PATH_PACKET_BYTES),
      verify: (established) => verifyClient(established, this.#context.clock),
      onReady: (ready) => this.#onConnection(ready),
      onFinished: () => {
        this.#live -= 1;
      },
      onDisposed: (disposed) => this.#connections.delete(disposed),
    });
    this.#connections.add(connection);
    connection.receive(packet, from);
  }

  /** Tells a client that it is not wanted now; nothing of it is kept. */
  #refuse(
    native: NativeConnection,
    packet: Buffer,
    info: { readonly from: HostPort; readonly to: HostPort },
    client: HostPort,
  ): void {
    try {
      native.recv(packet, info);
      // The client can read the refusal only with keys from the server's first flight.
      for (let packets = 0; packets < MAX_FLIGHT_PACKETS; packets += 1) {
        if (!this.#reply(client, (out) => native.send(out)?.[0] ?? 0)) break;
      }
      native.close(
        false,
        CONNECTION_REFUSED,
        Buffer.from(this.#paused ? 'draining' : 'too many connections'),
      );
      this.#reply(client, (out) => native.send(out)?.[0] ?? 0);
    } catch {
      // It was no proper Initial after all.
    }
  }
}

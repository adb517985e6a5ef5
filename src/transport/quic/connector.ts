import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { SluiceError, errorCodeFromWire } from '../../kernel/errors.ts';
import type { ErrorCode } from '../../kernel/errors.ts';
import { checkIdentity } from '../tls-identity.ts';
import type { CloseReason, Connection, ConnectOptions } from '../transport.ts';
import { LOOPBACK_PACKET_BYTES, PATH_PACKET_BYTES, isLoopback, makeConfig } from './config.ts';
import type { TlsSetup } from './config.ts';
import { QuicConnection } from './connection.ts';
import type { ConnectionContext } from './connection.ts';
import type { ListenerSettings } from './listener.ts';
import { CID_BYTES, quiche } from './native.ts';
import type { HostPort, NativeConnection } from './native.ts';
import { addressText } from './peer-address.ts';
import { sessionKey } from './session-cache.ts';
import type { SessionCache } from './session-cache.ts';
import { RESET_KEY_BYTES, ResetTokens } from './stateless-reset.ts';
import { verifyServer } from './tls-verification.ts';
import { UdpSocket } from './udp-socket.ts';

/** Connects to a QUIC server. @throws CONNECT_FAILED, CERTIFICATE_REJECTED, VERSION_MISMATCH, TIMEOUT, CANCELLED */
export async function connect(
  context: ConnectionContext,
  options: ConnectOptions,
  settings: ListenerSettings,
  sessions: SessionCache,
): Promise<Connection> {
  throwIfCancelled(options);
  if (options.identity !== undefined) checkIdentity(options.identity);
  const peer: HostPort = { host: await resolve(options), port: options.port };
  throwIfCancelled(options);
  return new Attempt(context, options, settings, sessions, peer).run();
}

/** One attempt to connect, from the open socket to the confirmed handshake. */
class Attempt {
  readonly #context: ConnectionContext;
  readonly #options: ConnectOptions;
  readonly #settings: ListenerSettings;
  readonly #sessions: SessionCache;
  readonly #sessionKey: string;
  readonly #peer: HostPort;
  readonly #result = Promise.withResolvers<Connection>();
  #connection: QuicConnection | undefined;

  constructor(
    context: ConnectionContext,
    options: ConnectOptions,
    settings: ListenerSettings,
    sessions: SessionCache,
    peer: HostPort,
  ) {
    this.#context = context;
    this.#options = options;
    this.#settings = settings;
    this.#sessions = sessions;
    this.#sessionKey = sessionKey(options);
    this.#peer = peer;
  }

  async run(): Promise<Connection> {
    const socket = await this.#openSocket();
    try {
      this.#connection = this.#start(socket);
    } catch (error) {
      await socket.close();
      throw error;
    }
    const cancel = (): void => this.#connection?.fail('CANCELLED', 'connecting was cancelled');
    const { signal } = this.#options;
    signal?.addEventListener('abort', cancel, { once: true });
    if (signal?.aborted === true) cancel();
    try {
      return await this.#result.promise;
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  async #openSocket(): Promise<UdpSocket> {
    try {
      return await UdpSocket.connect(this.#peer, {
        onPacket: (packet, from) => this.#connection?.receive(packet, from),
        onError: (error) => this.#connection?.unreachable(this.#explain(error)),
      });
    } catch (cause) {
      throw new SluiceError('CONNECT_FAILED', this.#explain(cause as NodeJS.ErrnoException), { cause });
    }
  }

  #start(socket: UdpSocket): QuicConnection {
    const { limits, authoritiesPem, identity, host } = this.#options;
    const serverName = this.#options.serverName ?? host;
    const packetBytes =
      this.#settings.packetBytes ?? (isLoopback(this.#peer.host) ? LOOPBACK_PACKET_BYTES : PATH_PACKET_BYTES);
    const tls: TlsSetup = {
      side: 'client',
      authoritiesPem,
      requireCertificate: true,
      identity,
      ticketKey: undefined,
    };
    const config = makeConfig(limits, tls, packetBytes, this.#settings);
    const firstId = this.#context.random.bytes(CID_BYTES);
    // BoringSSL verifies DNS names; an IP address is no name to it, and is verified by verifyServer.
    const dnsName = isIP(serverName) === 0 ? serverName : null;
    const plain: HostPort = { host: this.#peer.host.split('%')[0]!, port: this.#peer.port };
    const native = quiche.Connection.connect(dnsName, firstId, socket.local, plain, config);
    this.#resume(native);
    return new QuicConnection(this.#context, {
      native,
      side: 'client',
      socket,
      remote: this.#peer,
      firstId,
      // A client resets nothing: its tokens are only there because every id must have one.
      resetTokens: new ResetTokens(this.#context.random.bytes(RESET_KEY_BYTES)),
      // The socket has this connection alone.
      routes: { add: () => undefined, remove: () => undefined },
      limits,
      packetBytes,
      verify: (established) => verifyServer(established, serverName, this.#context.clock),
      onReady: (connection) => this.#result.resolve(connection),
      onFinished: (_connection, reason, finished) => {
        this.#keepSession(finished);
        this.#result.reject(this.#failure(reason));
        socket.unref();
      },
      onDisposed: () => void socket.close(),
    });
  }

  #resume(native: NativeConnection): void {
    const session = this.#sessions.take(this.#sessionKey);
    if (session === undefined) return;
    try {
      native.setSession(session);
    } catch {
      // Of another version of quiche or damaged: a full handshake does as well.
    }
  }

  #keepSession(native: NativeConnection): void {
    const session = native.session();
    if (session !== null) this.#sessions.put(this.#sessionKey, session);
  }

  #explain(error: NodeJS.ErrnoException): string {
    if (error.code === 'ECONNREFUSED') return `nothing listens at ${addressText(this.#peer)} (UDP)`;
    return `${addressText(this.#peer)} cannot be reached: ${error.message}`;
  }

  #failure(reason: CloseReason): SluiceError {
    const code = reason.errorCode === 0 ? 'CONNECT_FAILED' : errorCodeFromWire(reason.errorCode);
    return new SluiceError(code, failureText(code, addressText(this.#peer), reason.reason));
  }
}

function failureText(code: ErrorCode, address: string, reason: string): string {
  if (reason.includes(address)) return reason;
  switch (code) {
    case 'TIMEOUT':
      return `no answer from ${address}: ${reason}`;
    case 'CERTIFICATE_REJECTED':
      return `the certificate was not accepted when connecting to ${address}: ${reason}`;
    default:
      return `cannot connect to ${address}: ${reason}`;
  }
}

async function resolve(options: ConnectOptions): Promise<string> {
  if (isIP(options.host.split('%')[0]!) !== 0) return options.host;
  try {
    return (await lookup(options.host)).address;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const text = `the name ${options.host} cannot be resolved (${code})`;
    throw new SluiceError('CONNECT_FAILED', text, { cause });
  }
}

function throwIfCancelled(options: ConnectOptions): void {
  if (options.signal?.aborted === true) throw new SluiceError('CANCELLED', 'connecting was cancelled');
}

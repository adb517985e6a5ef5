/**
 * What every transport (QUIC, HTTP/2 over TLS, in memory) gives to the layers above: connections with many independent,
 * flow-controlled byte streams.
 *
 *     Transport ── listen ──> Listener ── onConnection ──> Connection ── onStream ──> Stream
 *              └── connect ─────────────────────────────> Connection ── openBidi / openUni ──> Stream
 *
 * Callbacks are plain properties, set by the one owner of the object, synchronously in the callback that hands the object
 * out. None of them may throw; a transport that catches one closes the connection with INTERNAL. Error codes on streams and
 * connections are the wire numbers of `kernel/errors.ts`.
 */

/** The half of a stream that this end writes. */
export interface SendStream {
  /** Number of the stream, unique in its connection, same on both ends. */
  readonly id: number;
  /** Bytes that `write` took and that the transport has not yet taken over from this process's side of the flow control. */
  readonly bufferedBytes: number;
  /** True while a `write` will be taken over without waiting for the peer, as far as is known now: nothing is buffered. */
  readonly writable: boolean;
  /** Total time in milliseconds that bytes have waited here because the peer's window or the network had no room. */
  readonly blockedMs: number;
  /**
   * Queues bytes. Always takes all of them, so the caller stops while `writable` is false. The transport reads `bytes` until
   * they are sent: the caller must not change them afterwards. Small consecutive writes of one tick go out together.
   * After `end` or `reset`, or on a closed connection, the bytes are thrown away.
   * @returns `writable` after the call
   */
  write(bytes: Uint8Array): boolean;
  /** Called each time everything buffered has been taken over after `writable` was false. */
  onWritable: (() => void) | undefined;
  /** Called once when the peer no longer wants the bytes (STOP_SENDING) or the connection is gone. Nothing is sent after it. */
  onStopped: ((errorCode: number) => void) | undefined;
  /** Ends the stream after everything that was written. Idempotent. */
  end(): void;
  /** Ends the stream at once; the peer sees `errorCode`. Bytes not yet delivered may be lost. Idempotent. */
  reset(errorCode: number): void;
  /** Asks for an order among the streams of this connection: 0 (first) to 255 (last), default 127; see RFC 9218 for the idea. */
  setPriority(urgency: number, incremental: boolean): void;
}

/** The half of a stream that this end reads. */
export interface ReceiveStream {
  readonly id: number;
  /** Called with bytes in order. `chunk` is only valid during the call: copy what must stay. */
  onData: ((chunk: Buffer) => void) | undefined;
  /** Called once after the last byte when the peer ended the stream. */
  onEnd: (() => void) | undefined;
  /** Called once when the peer reset the stream or the connection is gone before the end. */
  onReset: ((errorCode: number) => void) | undefined;
  /** Stops calling `onData`; the peer may send until the stream's window is full, and then waits. Idempotent. */
  pause(): void;
  /** Goes on calling `onData`, never from inside this call. Idempotent. */
  resume(): void;
  /** Tells the peer that nothing more will be read; what still comes is thrown away. Idempotent. */
  stop(errorCode: number): void;
}

/** A stream as its connection hands it out. A unidirectional one has only one half. */
export interface Stream {
  readonly id: number;
  readonly send: SendStream | undefined;
  readonly receive: ReceiveStream | undefined;
}

/** A stream with both halves. */
export interface BidiStream extends Stream {
  readonly send: SendStream;
  readonly receive: ReceiveStream;
}

/** Why a connection ended. */
export interface CloseReason {
  /** Wire number of `kernel/errors.ts`; 0 when it was closed on purpose and without error. */
  readonly errorCode: number;
  /** For people. */
  readonly reason: string;
  /** Which end closed it; `transport` is the transport itself: idle timeout, lost peer, TLS failure. */
  readonly by: 'local' | 'peer' | 'transport';
}

/** Counters of a connection, read on demand. Milliseconds and bytes; a transport that cannot know a value leaves it undefined. */
export interface ConnectionStats {
  readonly rttMs?: number;
  readonly congestionWindowBytes?: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly lostPackets?: number;
}

export interface Connection {
  /** `host:port` of the peer; may change when a QUIC client migrates. */
  readonly remoteAddress: string;
  readonly side: 'client' | 'server';
  /** Scheme that names the transport: `quic`, `tls` or `memory`. */
  readonly scheme: string;
  /** Certificate of the peer in DER, verified against the configured authorities; undefined when the peer showed none. */
  readonly peerCertificate: Uint8Array | undefined;
  /** Size of the largest datagram that can be sent now, in bytes; 0 when datagrams are not available. */
  readonly maxDatagramBytes: number;
  /**
   * Bytes that may still arrive before the connection is closed with OVERLOADED; Infinity at first. For peers that have not said
   * who they are: on QUIC they could fill the windows of thousands of streams with bytes that cannot be read before others.
   * Other transports hold no more than their connection window and need not count.
   */
  arrivalLimitBytes: number;
  /** Called for each stream the peer opens. */
  onStream: ((stream: Stream) => void) | undefined;
  /** Called for each datagram; the bytes are only valid during the call. */
  onDatagram: ((bytes: Buffer) => void) | undefined;
  /** Called once, after every stream has been told. */
  onClose: ((reason: CloseReason) => void) | undefined;
  /** Whether somebody waits for the peer: then it is asked for a sign of life after a second without one. */
  isAwaited: (() => boolean) | undefined;
  /**
   * Called when the peer has not answered for some seconds although it was asked, on QUIC by anything that was sent, on HTTP/2 by a PING; once for each
   * silence. The connection lives on, until it is idle for too long.
   */
  onSilent: (() => void) | undefined;
  /**
   * Opens a stream. It exists for the peer from its first byte on. More streams than the peer allows at the moment are
   * opened locally and wait, unwritable, until the peer allows more.
   * @throws CLOSED when the connection is closed
   */
  openBidi(): BidiStream;
  /** Opens a stream that only this end writes. @throws CLOSED when the connection is closed */
  openUni(): SendStream;
  /** Sends one unreliable datagram. @returns false when it was not taken: too large, queue full, closed, not supported */
  sendDatagram(bytes: Uint8Array): boolean;
  stats(): ConnectionStats;
  /** Tells the peer and ends every stream. Idempotent. */
  close(errorCode: number, reason: string): void;
}

/** PEM texts. */
export interface TlsIdentity {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** Sizes in bytes, times in milliseconds. Defaults are in `transport/limits.ts`. */
export interface TransportLimits {
  /** How much of one stream the peer may send ahead of the reader. */
  readonly streamWindowBytes: number;
  /** How much of all streams together; kept above open streams × `streamWindowBytes` so that a stalled one blocks no other. */
  readonly connectionWindowBytes: number;
  /** Streams of each kind the peer may have open at once. */
  readonly maxStreams: number;
  /** A connection on which nothing was heard for this long is dead. */
  readonly idleTimeoutMs: number;
  /** A PING goes out after this long without sending; 0 turns it off. */
  readonly keepAliveMs: number;
  /** Time within which a handshake must be complete. */
  readonly handshakeTimeoutMs: number;
  /** Connections a listener keeps at once, handshakes included; more are refused. */
  readonly maxConnections: number;
}

export interface ListenOptions {
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  readonly identity: TlsIdentity;
  /** Authorities for client certificates, PEM; undefined: client certificates are not asked for. */
  readonly clientAuthoritiesPem: string | undefined;
  /** Refuse clients without a certificate. Needs `clientAuthoritiesPem`. */
  readonly requireClientCertificate: boolean;
  readonly limits: TransportLimits;
}

export interface ConnectOptions {
  readonly host: string;
  readonly port: number;
  /** Name that the server's certificate must carry; default `host`. */
  readonly serverName: string | undefined;
  /** Authorities for the server's certificate, PEM. The server is always verified. */
  readonly authoritiesPem: string;
  /** The client's own certificate. */
  readonly identity: TlsIdentity | undefined;
  readonly limits: TransportLimits;
  /** Gives up, with CANCELLED. */
  readonly signal: AbortSignal | undefined;
}

export interface Listener {
  /** The address that was bound. */
  readonly host: string;
  readonly port: number;
  /** Connections open now. */
  readonly connectionCount: number;
  /**
   * Replaces certificate and key for connections to come; those that exist go on. Nothing of an earlier session is resumed.
   * @param clientAuthoritiesPem new authorities for client certificates; undefined: those from before. A listener that was
   *   opened without does not begin to ask for certificates
   * @throws INVALID_CONFIG when they cannot be used: the old ones stay
   */
  setIdentity(identity: TlsIdentity, clientAuthoritiesPem?: string): void;
  /** Stops taking new connections; those that exist go on. */
  pause(): void;
  /** Closes every connection with CLOSED and frees the address. */
  close(): Promise<void>;
}

export interface Transport {
  readonly scheme: string;
  /** @throws ADDRESS_IN_USE, INVALID_CONFIG (certificate or key unusable) */
  listen(options: ListenOptions, onConnection: (connection: Connection) => void): Promise<Listener>;
  /** @throws CONNECT_FAILED, CERTIFICATE_REJECTED, VERSION_MISMATCH (not this protocol), TIMEOUT, CANCELLED, INVALID_CONFIG (own certificate or key unusable) */
  connect(options: ConnectOptions): Promise<Connection>;
}

/** ALPN name of the native protocol; the same on every transport. */
export const ALPN = 'sluice/1';

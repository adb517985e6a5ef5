import { SluiceError } from '../../kernel/errors.ts';
import { ALPN } from '../transport.ts';
import type { TlsIdentity, TransportLimits } from '../transport.ts';
import { quiche } from './native.ts';
import type { NativeConfig } from './native.ts';
import type { Side } from './stream.ts';

/** Bytes of a UDP payload that pass every usual network path. */
export const PATH_PACKET_BYTES = 1350;
/** Bytes of a UDP payload between processes of one machine, where the link takes 64 KiB at once. */
export const LOOPBACK_PACKET_BYTES = 16_384;

const MAX_UDP_PAYLOAD_BYTES = 65_527;
const ACTIVE_CID_LIMIT = 4;
/**
 * quiche keeps as many paths as this limit says and never gives one back: it is how often the address of a client may change.
 * (How many ids there really are is the smaller of both ends' limits.)
 */
const MAX_CLIENT_PATHS = 64;
const DATAGRAM_QUEUE_LENGTH = 1024;
/**
 * Connection credit: as good as infinite. quiche 0.18 renews it with a window that starts at 48 KiB, whatever was granted at
 * first, and it never gives back the credit of bytes that a reset or stopped stream leaves unread. A finite value would
 * therefore let stalled streams block their siblings once it is used up, however large it was. What a connection may hold is
 * bounded by its streams instead: `maxStreams` × `streamWindowBytes`.
 */
const CONNECTION_CREDIT_BYTES = Number.MAX_SAFE_INTEGER;

/** What a configuration of quiche says about TLS. */
export interface TlsSetup {
  readonly side: Side;
  /** PEM of the authorities for the peer's certificate; undefined: the peer is not asked for one. */
  readonly authoritiesPem: string | undefined;
  /** Refuse a peer without certificate. */
  readonly requireCertificate: boolean;
  readonly identity: TlsIdentity | undefined;
  /** Key that encrypts session tickets, 48 bytes; servers only. */
  readonly ticketKey: Buffer | undefined;
}

/** Settings that are equal for every connection of a transport. */
export interface TuningSettings {
  /** Most milliseconds by which this end delays an acknowledgement; bounds the peer's probe timeout. */
  readonly maxAckDelayMs: number;
}

/**
 * A configuration of quiche, shared by all connections of one listener or made for one client connection.
 * @param packetBytes size of the UDP payloads that are sent, bytes
 * @throws INVALID_CONFIG when certificate, key or authorities cannot be used
 */
export function makeConfig(
  limits: TransportLimits,
  tls: TlsSetup,
  packetBytes: number,
  tuning: TuningSettings,
): NativeConfig {
  const config = makeTlsConfig(tls);
  config.setApplicationProtos([ALPN]);
  config.grease(false);
  config.enablePacing(false);
  config.setCcAlgorithmName('bbr');
  config.setMaxIdleTimeout(limits.idleTimeoutMs);
  config.setMaxRecvUdpPayloadSize(MAX_UDP_PAYLOAD_BYTES);
  config.setMaxSendUdpPayloadSize(packetBytes);
  config.setMaxAckDelay(tuning.maxAckDelayMs);
  config.setInitialMaxData(CONNECTION_CREDIT_BYTES);
  config.setMaxConnectionWindow(limits.connectionWindowBytes);
  config.setInitialMaxStreamDataBidiLocal(limits.streamWindowBytes);
  config.setInitialMaxStreamDataBidiRemote(limits.streamWindowBytes);
  config.setInitialMaxStreamDataUni(limits.streamWindowBytes);
  config.setMaxStreamWindow(limits.streamWindowBytes);
  config.setInitialMaxStreamsBidi(limits.maxStreams);
  config.setInitialMaxStreamsUni(limits.maxStreams);
  config.setActiveConnectionIdLimit(tls.side === 'server' ? MAX_CLIENT_PATHS : ACTIVE_CID_LIMIT);
  config.setDisableActiveMigration(false);
  config.enableDgram(true, DATAGRAM_QUEUE_LENGTH, DATAGRAM_QUEUE_LENGTH);
  return config;
}

function makeTlsConfig(tls: TlsSetup): NativeConfig {
  const verify = tls.authoritiesPem !== undefined;
  try {
    const config = quiche.Config.withBoringSslCtx(
      verify && tls.requireCertificate,
      false,
      verify ? Buffer.from(tls.authoritiesPem) : null,
      tls.identity === undefined ? null : [Buffer.from(tls.identity.privateKeyPem)],
      tls.identity === undefined ? null : [Buffer.from(tls.identity.certificatePem)],
      null,
    );
    // Asks for a certificate, verifies one that is shown, and lets a peer without one pass: BoringSSL's plain VERIFY_PEER.
    if (verify && !tls.requireCertificate) config.verifyPeer(true);
    if (tls.ticketKey !== undefined) config.setTicketKey(tls.ticketKey);
    return config;
  } catch (cause) {
    throw new SluiceError(
      'INVALID_CONFIG',
      `TLS cannot be set up: ${String(cause)}; check certificate, key and authorities`,
      {
        cause,
      },
    );
  }
}

/** Whether an IP address is one of this machine's loopback addresses. */
export function isLoopback(host: string): boolean {
  return host.startsWith('127.') || host === '::1' || host.startsWith('::ffff:127.');
}

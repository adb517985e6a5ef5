import type { TransportLimits } from './transport.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

/**
 * Limits that hold unless configured otherwise.
 *
 * The connection window is larger than a few thousand stalled streams can fill, because an exhausted connection window
 * would let stalled subscriptions block their siblings and the control stream (docs/protocol.md, flow control).
 */
export const DEFAULT_LIMITS: TransportLimits = {
  streamWindowBytes: 512 * KiB,
  connectionWindowBytes: 1024 * MiB,
  maxStreams: 4096,
  idleTimeoutMs: 30_000,
  keepAliveMs: 10_000,
  handshakeTimeoutMs: 10_000,
  maxConnections: 20_000,
};

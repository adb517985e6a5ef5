import { BATCH_MAX_BYTES_LIMIT } from '../catalog/topic-settings.ts';
import type { GrpcSettings } from '../transport/grpc/grpc-settings.ts';

const MiB = 1024 * 1024;

/** How connections between nodes are kept, at both ends. */
export interface PeerSettings {
  readonly grpc: GrpcSettings;
  /** What carries the streams of replication and forwarding: a connection of its own for each (docs/adr/0012), or gRPC as everything else. */
  readonly streams: 'bulk' | 'grpc';
  /** A connection has to be there after so long, milliseconds. */
  readonly connectTimeoutMs: number;
  /** First and longest wait after a connection has ended or could not be made; calls fail at once meanwhile. */
  readonly reconnect: { readonly minMs: number; readonly maxMs: number };
  /** Bytes of publishes to one node that are not answered; more are OVERLOADED. */
  readonly forwardMaxBytes: number;
  /** A publish that is not answered after so long is TIMEOUT, milliseconds. */
  readonly forwardTimeoutMs: number;
  /** How long another node may take, milliseconds, above the time that a request lets it wait. */
  readonly callTimeoutMs: number;
}

/**
 * What holds unless configured otherwise. A node that is frozen is noticed after at most 4 s by who has asked it something, after 6 s by who answers,
 * after 32 s by who has answers for it that it does not take.
 */
export const DEFAULT_PEER_SETTINGS: PeerSettings = {
  grpc: {
    // The largest batch, and room for what is said about many partitions.
    maxMessageBytes: BATCH_MAX_BYTES_LIMIT + 8 * MiB,
    windowBytes: 4 * MiB,
    keepAliveMs: 1_500,
    keepAliveTimeoutMs: 2_500,
  },
  streams: 'bulk',
  connectTimeoutMs: 3_000,
  reconnect: { minMs: 50, maxMs: 2_000 },
  forwardMaxBytes: 32 * MiB,
  forwardTimeoutMs: 30_000,
  callTimeoutMs: 10_000,
};

import type { SecureServerOptions } from 'node:http2';
import type { TransportLimits } from '../transport.ts';
import { MAX_PARKED_REQUESTS } from './http2-wire.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

/** Options of Node's HTTP/2 server that its type definitions do not know yet. */
interface ResetLimits {
  /** Streams that a peer may reset in a burst before its session is ended (rapid reset, CVE-2023-44487). */
  readonly streamResetBurst: number;
  /** The same, per second in the long run. */
  readonly streamResetRate: number;
}

/** Header fields of one request: ours have seven. */
const MAX_HEADER_PAIRS = 32;
/** Names, values and 32 bytes for each field of one request together. More end the stream; CONTINUATION without end, the session. */
const MAX_HEADER_BYTES = 16 * KiB;
/** What one stalled stream may hold of its connection's memory: one read of a delivery, and room. */
const STALLED_STREAM_BYTES = 192 * KiB;
const MIN_SESSION_MEMORY_MB = 64;

/** PING and SETTINGS that a peer may send at once, and per second after that. A client of ours sends one in several seconds. */
export const CONTROL_FRAME_BURST = 500;
export const CONTROL_FRAMES_PER_SECOND = 50;

/**
 * Bounds on what one session queues in megabytes: above it new streams are refused. Follows `maxStreams`, so that no healthy
 * client is refused, even when all its streams are stalled.
 */
export function sessionMemoryMb({ maxStreams }: Pick<TransportLimits, 'maxStreams'>): number {
  return Math.max(MIN_SESSION_MEMORY_MB, Math.ceil((maxStreams * STALLED_STREAM_BYTES) / MiB));
}

/** SETTINGS of both ends: no pushes, the window of each stream, short headers. */
export function localSettings(limits: TransportLimits): {
  readonly enablePush: false;
  readonly initialWindowSize: number;
  readonly maxHeaderListSize: number;
} {
  return {
    enablePush: false,
    initialWindowSize: limits.streamWindowBytes,
    maxHeaderListSize: MAX_HEADER_BYTES,
  };
}

/** Node's bounds for both ends of a session, each said instead of left to what Node happens to choose. */
export const SESSION_LIMITS = {
  maxHeaderListPairs: MAX_HEADER_PAIRS,
  /** Entries of one SETTINGS frame; the protocol has seven. */
  maxSettings: 16,
  /** Own PINGs without an answer. */
  maxOutstandingPings: 4,
  maxDeflateDynamicTableSize: 4 * KiB,
} as const;

/** What a server allows a session, see docs/http2-transport.md. */
export function serverLimits(limits: TransportLimits): SecureServerOptions & ResetLimits {
  return {
    ...SESSION_LIMITS,
    maxSessionMemory: sessionMemoryMb(limits),
    // Frames that break the rules, and streams beyond the limits, before the session is ended.
    maxSessionInvalidFrames: 100,
    maxSessionRejectedStreams: 100,
    streamResetBurst: 4096,
    streamResetRate: 256,
    settings: {
      ...localSettings(limits),
      // Both kinds in both directions are requests, and the parked ones too.
      maxConcurrentStreams: 4 * limits.maxStreams + MAX_PARKED_REQUESTS,
    },
  };
}

/**
 * What a benchmark needs of a system. One file per system implements it, so that every scenario runs unchanged against each.
 *
 *     scenario (this process) ── starts ──> server process
 *           └── worker processes ── adapter.connect ──> server
 */

/** Where a server listens and what clients must know. Plain data: it crosses process borders. */
export interface ServerAddress {
  readonly system: SystemName;
  readonly host: string;
  readonly port: number;
  /** File of the authority that signed the server's certificate. */
  readonly caFile: string;
}

export const SYSTEMS = ['sluice', 'nats', 'redis', 'mosquitto'] as const;
export type SystemName = (typeof SYSTEMS)[number];

/** Options that only some systems know; the others ignore them. */
export interface ClientOptions {
  /** Codec of published batches. */
  readonly compression?: 'none' | 'zstd';
  /** How Sluice delivers. */
  readonly delivery?: 'ordered' | 'unordered' | 'datagram';
}

/** A subscription whose reading can be stopped without buffering in the client without bound. */
export interface BenchSubscription {
  /** Stops reading, as a client with bounded memory has to. */
  stall(): void;
  resume(): void;
}

/** One connection. */
export interface BenchClient {
  /**
   * Calls `onValue` for each record. Resolves when the server delivers.
   * @param onValue the value is valid during the call
   */
  subscribe(topic: string, onValue: (value: Uint8Array) => void): Promise<BenchSubscription>;
  /** Publishes the system's fastest way. @returns false when the caller must await `ready` before the next */
  publish(topic: string, value: Uint8Array): boolean;
  ready(): Promise<void>;
  /** Everything published has reached the server. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface Adapter {
  connect(server: ServerAddress, options: ClientOptions): Promise<BenchClient>;
}

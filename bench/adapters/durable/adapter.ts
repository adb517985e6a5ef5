/**
 * What the durable comparison needs of a system: publishing whose every record is acknowledged, and reading it back. One file per
 * system implements it.
 */

/** Systems that store records, by how they are set to do it; `bench/support/durable-servers.ts` says what each means. */
export const DURABLE_SYSTEMS = [
  'sluice-always',
  'sluice-interval',
  'jetstream',
  'redis-always',
  'redis-everysec',
  'rabbitmq',
] as const;
export type DurableSystem = (typeof DURABLE_SYSTEMS)[number];

/** Where a server listens and what clients must know. Plain data: it crosses process borders. */
export interface DurableAddress {
  readonly system: DurableSystem;
  readonly host: string;
  readonly port: number;
  /** File of the authority that signed the server's certificate; undefined: without TLS. */
  readonly caFile: string | undefined;
  /** Sluice: of the producer's batches; undefined: the SDK's. The others have none. */
  readonly batchBytes?: number | undefined;
}

/** Where records are kept: as the system's name says, or in memory only (not Redis). */
export type Storage = 'disk' | 'memory';

/** One connection. */
export interface DurableClient {
  /** Makes what records are published to: topic, stream or queue. */
  create(name: string, storage: Storage): Promise<void>;
  /** Publishes one record; resolves when the server has acknowledged it. */
  publish(name: string, value: Buffer): Promise<unknown>;
  /**
   * Reads `records` records from the beginning, and acknowledges each of them by itself; Redis acknowledges what it read at once.
   * @param onRecord called for each; the value is valid during the call
   */
  consume(name: string, records: number, onRecord: (value: Uint8Array) => void): Promise<void>;
  close(): Promise<void>;
}

export interface DurableAdapter {
  connect(server: DurableAddress): Promise<DurableClient>;
}

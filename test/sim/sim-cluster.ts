import type { AppendOutcome } from '../../src/partition/partition.ts';
import type { PartitionReader } from '../../src/partition/reader.ts';
import type { Checker } from './checker.ts';
import type { Machine } from './machine.ts';
import type { Network } from './network.ts';

/** What clients ask of a node. */
export interface SimServer {
  readonly name: string;
  readonly machine: Machine;
  /** As the node knows it; undefined: nobody leads. @throws UNAVAILABLE while it starts */
  leaderOf(partition: number): string | undefined;
  /** Resolves when it may be answered. @throws what a client would be told */
  publish(partition: number, batch: Buffer, acks: 1 | 2): Promise<AppendOutcome>;
  /** @throws what a client would be told; OFFSET_OUT_OF_RANGE when this copy has not come so far */
  openReader(partition: number, offset: number): PartitionReader | Promise<PartitionReader>;
  /** Deletes the records below an offset. Resolves when they are gone for good. @throws what a client would be told */
  erase(partition: number, offset: number): Promise<void>;
}

/** What clients know. */
export interface SimCluster {
  readonly network: Network;
  readonly servers: readonly SimServer[];
  readonly checker: Checker;
  trace(text: () => string): void;
  /** A promise was broken, seen outside of a step's own turn. */
  fail(error: unknown): void;
}

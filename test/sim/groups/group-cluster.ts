import type { GroupAnswer, GroupCase, GroupQuestionInit } from '../../../src/groups/api.ts';
import type { Machine } from '../machine.ts';
import type { Network } from '../network.ts';
import type { GroupChecker } from './group-checker.ts';
import type { QueueChecker } from './queue-checker.ts';

/** What clients of groups and queues ask of a node. */
export interface GroupServer {
  readonly name: string;
  readonly machine: Machine;
  /** @throws what a client would be told */
  ask<C extends GroupCase>(
    name: C,
    question: GroupQuestionInit<C>,
    signal: AbortSignal,
  ): Promise<GroupAnswer<C>>;
  /** Stores one batch with `acks: all`. @throws what a client would be told */
  publish(topic: string, partition: number, batch: Buffer): Promise<number>;
}

/** What clients of groups and queues know. */
export interface GroupCluster {
  readonly network: Network;
  readonly servers: readonly GroupServer[];
  readonly groups: GroupChecker;
  readonly queues: ReadonlyMap<string, QueueChecker>;
  trace(text: () => string): void;
  /** A promise was broken, seen outside of a step's own turn. */
  fail(error: unknown): void;
}

/** The topic that is read. */
export const SOURCE = 't';
/** The one consumer group. */
export const GROUP = 'g';

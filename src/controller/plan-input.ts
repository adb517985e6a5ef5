import type { ClusterNode, PartitionEntry, PartitionState } from '../coordination/cluster.ts';
import type { TopicDefinition } from '../coordination/coordinator.ts';
import type { ControllerPolicy } from './policy.ts';

/** What a controller remembers beside what everybody sees. Times are milliseconds of one monotonic clock. */
export interface Memory {
  /** How long a node has been gone, or not ready; 0 for one that is there. */
  absentMs(nodeId: string): number;
  /** How long a node has been there, and ready; 0 for one that is not. */
  presentMs(nodeId: string): number;
  /** How long a partition's state has been what it is. */
  quietMs(key: string): number;
  /** The node has begun anew since its copy of this partition in memory counted as in sync. */
  hasLostData(key: string, nodeId: string): boolean;
  /** The node was named leader of this partition a short while ago, by this controller and in the same session. */
  wasJustNamed(key: string, nodeId: string): boolean;
  /** This controller has taken the node out of this partition's in-sync replicas since it went. */
  wasExpelled(key: string, nodeId: string): boolean;
}

/** All that a plan depends on. */
export interface PlanInput {
  readonly topics: readonly TopicDefinition[];
  readonly nodes: readonly ClusterNode[];
  /** By {@link keyOf}. */
  readonly states: ReadonlyMap<string, PartitionEntry>;
  /** Changes that are under way, by {@link keyOf}: they count as done, and these partitions are left alone. */
  readonly underWay: ReadonlyMap<string, PartitionState>;
  /** Partitions that are left alone for now. */
  readonly isResting: (key: string) => boolean;
  readonly memory: Memory;
  readonly policy: ControllerPolicy;
  /** Whether replicas are moved to where they would be placed now. */
  readonly isRebalancing: boolean;
  /** Leaderships that may go back to their preferred replica now. */
  readonly preferredCount: number;
}

/** Why a state is to be changed; the first is the most urgent. */
export const REASONS = [
  'elected',
  'unclean',
  'leaderless',
  'handed over',
  'created',
  'expelled',
  'moved',
  'grown',
  'replaced',
  'moving',
  'preferred',
] as const;

/**
 * `elected`, `unclean`, `leaderless`, `handed over`, `expelled`: see `election.ts`. `created`: a new partition. `grown`, `replaced`, `moving`: it has
 * been given another replica, because there are too few, because one has been gone for long, to rebalance. `moved`: all of those are in sync, the others
 * have gone. `preferred`: the preferred replica leads again.
 */
export type Reason = (typeof REASONS)[number];

/** A change of one partition's state that is wanted. */
export interface PlannedUpdate {
  readonly key: string;
  readonly topicId: string;
  readonly partition: number;
  /** 0: there is none yet. */
  readonly expectedRevision: number;
  readonly state: PartitionState;
  readonly reason: Reason;
}

/** What is to be done now. */
export interface Plan {
  /** The most urgent first. */
  readonly updates: readonly PlannedUpdate[];
  /** Whether every partition is where it would be placed now. Only known while rebalancing. */
  readonly isBalanced: boolean;
}

/** Names a partition in maps. */
export function keyOf(topicId: string, partition: number): string {
  return `${topicId}/${partition}`;
}

const keysByTopic = new WeakMap<TopicDefinition, readonly string[]>();

/** The keys of all partitions of a topic, in order; made once, because making them is most of the work of looking at partitions that are well. */
export function keysOf(topic: TopicDefinition): readonly string[] {
  let keys = keysByTopic.get(topic);
  if (!keys) {
    keys = Array.from({ length: topic.partitions }, (_, partition) => keyOf(topic.id, partition));
    keysByTopic.set(topic, keys);
  }
  return keys;
}

/** A node can lead and follow once other nodes can reach it; until then it looks after what it may have lost. */
export function isReady({ peerAddress }: Pick<ClusterNode, 'peerAddress'>): boolean {
  return peerAddress !== null;
}

import type { ErrorCode } from '../../kernel/errors.ts';
import { errorCodeFromWire } from '../../kernel/errors.ts';
import { offsetFromWire } from '../../wire/offset.ts';
import type {
  Grant as GrantMessage,
  NodeStatusResponse,
  PartitionDescription as PartitionMessage,
  TokenDescription as TokenMessage,
  TopicDescription as TopicMessage,
  TopicSettings as SettingsMessage,
} from '../../gen/sluice/client/v1/administration_pb.ts';
import type { SubscriptionStatus as SubscriptionMessage } from '../../gen/sluice/client/v1/subscription_pb.ts';
import { DeliveryMode } from '../../gen/sluice/client/v1/subscription_pb.ts';

/** How a topic keeps its records. */
export interface TopicSettings {
  readonly storage: 'memory' | 'disk';
  /** Per partition; 0 = no bound. */
  readonly retentionBytes: number;
  /** Milliseconds; 0 = no bound. */
  readonly retentionMs: number;
  /** Per partition; 0 = no bound. */
  readonly retentionRecords: number;
  readonly batchMaxBytes: number;
  /** Whose time records carry: the producer's (`create`) or the broker's (`append`). */
  readonly timestamps: 'create' | 'append';
  /** Disk: when a record counts as stored; `always`: when it is on the disk. */
  readonly flush: 'always' | 'interval' | 'os';
  /** Milliseconds between two syncs with `interval`. */
  readonly flushIntervalMs: number;
  /** Disk: whether all but the latest record of each key are dropped in time (`compact`). */
  readonly cleanup: 'delete' | 'compact' | 'compact,delete';
  /** Milliseconds that compaction keeps the record that deletes a key. */
  readonly tombstoneMs: number;
  /** Nodes that keep a copy of each partition; a node on its own allows 1. */
  readonly replicationFactor: number;
  /** In-sync replicas below which a publish that waits for all of them is refused. */
  readonly minInsync: number;
  /** Whether a replica that was not in sync may lead when no other is left, which loses acknowledged records. */
  readonly uncleanElection: boolean;
}

/** Settings a request names; what is left out takes the broker's default (create) or stays (alter). */
export type TopicSettingsChange = { readonly [K in keyof TopicSettings]?: TopicSettings[K] | undefined };

/** Why a topic or a partition cannot be used now. */
export interface Fault {
  readonly code: ErrorCode;
  /** For people. */
  readonly message: string;
}

/** A partition; ends are exclusive. */
export interface PartitionDescription {
  readonly partition: number;
  /** Empty: nobody leads it. */
  readonly leaderNodeId: string;
  readonly leaderEpoch: number;
  /** Nodes that have a copy, preferred leader first. */
  readonly replicas: readonly string[];
  /** Those of them that are in sync. */
  readonly isr: readonly string[];
  readonly logStart: number;
  readonly highWatermark: number;
  readonly logEnd: number;
  /** In memory, or on the disk. */
  readonly retainedBytes: number;
  readonly subscribers: number;
  /** Why it takes nothing now. */
  readonly error: Fault | undefined;
}

/** A topic and its partitions. */
export interface TopicDescription {
  readonly name: string;
  readonly id: string;
  readonly settings: TopicSettings;
  readonly partitions: readonly PartitionDescription[];
  /** Milliseconds since 1970. */
  readonly createdMs: number;
  /** Why it cannot be used now; it has no partitions then. */
  readonly error: Fault | undefined;
}

/** One subscription and partition as the broker sees it. */
export interface SubscriptionStatus {
  readonly connection: string;
  readonly clientId: string;
  readonly principal: string;
  readonly subscriptionId: number;
  readonly name: string;
  readonly filter: string;
  readonly topic: string;
  readonly partition: number;
  readonly nextOffset: number;
  readonly lagRecords: number;
  readonly lagBytes: number;
  /** Age of the oldest record not yet sent; 0 when there is none. */
  readonly lagMs: number;
  /** Total time its stream waited for the subscriber. */
  readonly blockedMs: number;
  readonly gapRecords: number;
  readonly delivery: 'ordered' | 'unordered' | 'datagram';
  readonly paused: boolean;
}

/** A node in numbers. */
export interface NodeStatus {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly software: string;
  readonly uptimeMs: number;
  readonly connections: number;
  readonly subscriptions: number;
  readonly topics: number;
  readonly partitions: number;
  readonly recordsIn: number;
  readonly bytesIn: number;
  /** Batch bytes written to delivery streams. */
  readonly bytesOut: number;
  readonly retainedBytes: number;
  readonly rssBytes: number;
  readonly draining: boolean;
}

/** What a token's holder may do on the topics that match `topics` (`*` is any run of characters). */
export interface Grant {
  readonly topics: string;
  readonly operations: readonly ('publish' | 'subscribe' | 'admin')[];
}

/** A token without its secret. */
export interface TokenDescription {
  readonly id: string;
  readonly principal: string;
  readonly grants: readonly Grant[];
  /** Milliseconds since 1970. */
  readonly createdMs: number;
  /** Milliseconds since 1970; 0 = never. */
  readonly expiresMs: number;
}

const DELIVERY_NAMES: ReadonlyMap<number, SubscriptionStatus['delivery']> = new Map([
  [DeliveryMode.UNORDERED, 'unordered'],
  [DeliveryMode.DATAGRAM, 'datagram'],
]);

const FLUSHES = ['always', 'interval', 'os'] as const;
const CLEANUPS = ['delete', 'compact', 'compact,delete'] as const;

/** A topic as the wire has it. */
export function topicFromWire(topic: TopicMessage | undefined): TopicDescription {
  return {
    name: topic?.name ?? '',
    id: topic?.id ?? '',
    settings: settingsFromWire(topic?.settings),
    partitions: (topic?.partitions ?? []).map(partitionFromWire),
    createdMs: Number(topic?.createdMs ?? 0n),
    error: topic && faultFromWire(topic),
  };
}

/** Settings as a request carries them. */
export function settingsToWire(
  settings: TopicSettingsChange,
): Partial<Omit<SettingsMessage, '$typeName' | '$unknown'>> {
  const { storage, retentionBytes, retentionMs, retentionRecords, batchMaxBytes, timestamps } = settings;
  return {
    ...(storage !== undefined && { storage }),
    ...(retentionBytes !== undefined && { retentionBytes: BigInt(retentionBytes) }),
    ...(retentionMs !== undefined && { retentionMs: BigInt(retentionMs) }),
    ...(retentionRecords !== undefined && { retentionRecords: BigInt(retentionRecords) }),
    ...(batchMaxBytes !== undefined && { batchMaxBytes }),
    ...(timestamps !== undefined && { timestamps }),
    ...diskSettingsToWire(settings),
    ...replicationToWire(settings),
  };
}

/** A subscription as the wire has it. */
export function subscriptionFromWire(status: SubscriptionMessage): SubscriptionStatus {
  return {
    connection: status.connection,
    clientId: status.clientId,
    principal: status.principal,
    subscriptionId: status.subscriptionId,
    name: status.name,
    filter: status.filter,
    topic: status.topic,
    partition: status.partition,
    nextOffset: offsetFromWire(status.nextOffset),
    lagRecords: Number(status.lagRecords),
    lagBytes: Number(status.lagBytes),
    lagMs: Number(status.lagMs),
    blockedMs: Number(status.blockedMs),
    gapRecords: Number(status.gapRecords),
    delivery: DELIVERY_NAMES.get(status.delivery) ?? 'ordered',
    paused: status.paused,
  };
}

/** A node as the wire has it. */
export function nodeFromWire(status: NodeStatusResponse): NodeStatus {
  return {
    nodeId: status.nodeId,
    clusterId: status.clusterId,
    software: status.software,
    uptimeMs: Number(status.uptimeMs),
    connections: status.connections,
    subscriptions: status.subscriptions,
    topics: status.topics,
    partitions: status.partitions,
    recordsIn: Number(status.recordsIn),
    bytesIn: Number(status.bytesIn),
    bytesOut: Number(status.bytesOut),
    retainedBytes: Number(status.retainedBytes),
    rssBytes: Number(status.rssBytes),
    draining: status.draining,
  };
}

/** A token as the wire has it. */
export function tokenFromWire(token: TokenMessage): TokenDescription {
  return {
    id: token.id,
    principal: token.principal,
    grants: token.grants.map(grantFromWire),
    createdMs: Number(token.createdMs),
    expiresMs: Number(token.expiresMs),
  };
}

function diskSettingsToWire({ flush, flushIntervalMs, cleanup, tombstoneMs }: TopicSettingsChange) {
  return {
    ...(flush !== undefined && { flush }),
    ...(flushIntervalMs !== undefined && { flushIntervalMs: BigInt(flushIntervalMs) }),
    ...(cleanup !== undefined && { cleanup }),
    ...(tombstoneMs !== undefined && { tombstoneMs: BigInt(tombstoneMs) }),
  };
}

function replicationToWire({ replicationFactor, minInsync, uncleanElection }: TopicSettingsChange) {
  return {
    ...(replicationFactor !== undefined && { replicationFactor }),
    ...(minInsync !== undefined && { minInsync }),
    ...(uncleanElection !== undefined && { uncleanElection }),
  };
}

function settingsFromWire(settings: SettingsMessage | undefined): TopicSettings {
  return {
    storage: settings?.storage === 'disk' ? 'disk' : 'memory',
    retentionBytes: bound(settings?.retentionBytes),
    retentionMs: bound(settings?.retentionMs),
    retentionRecords: bound(settings?.retentionRecords),
    batchMaxBytes: settings?.batchMaxBytes ?? 0,
    timestamps: settings?.timestamps === 'append' ? 'append' : 'create',
    ...diskSettingsFromWire(settings),
    ...replicationFromWire(settings),
  };
}

/** Brokers from before there were clusters say nothing of replication: one copy. */
function replicationFromWire(
  settings: SettingsMessage | undefined,
): Pick<TopicSettings, 'replicationFactor' | 'minInsync' | 'uncleanElection'> {
  return {
    replicationFactor: settings?.replicationFactor ?? 1,
    minInsync: settings?.minInsync ?? 1,
    uncleanElection: settings?.uncleanElection ?? false,
  };
}

function diskSettingsFromWire(
  settings: SettingsMessage | undefined,
): Pick<TopicSettings, 'flush' | 'flushIntervalMs' | 'cleanup' | 'tombstoneMs'> {
  return {
    flush: FLUSHES.find((one) => one === settings?.flush) ?? 'always',
    flushIntervalMs: bound(settings?.flushIntervalMs),
    cleanup: CLEANUPS.find((one) => one === settings?.cleanup) ?? 'delete',
    tombstoneMs: bound(settings?.tombstoneMs),
  };
}

function faultFromWire({ errorCode, errorMessage }: { errorCode: number; errorMessage: string }) {
  return errorCode === 0 ? undefined : { code: errorCodeFromWire(errorCode), message: errorMessage };
}

function bound(value: bigint | undefined): number {
  return Number(value ?? 0n);
}

function partitionFromWire(partition: PartitionMessage): PartitionDescription {
  return {
    partition: partition.partition,
    leaderNodeId: partition.leaderNodeId,
    leaderEpoch: partition.leaderEpoch,
    replicas: partition.replicas,
    isr: partition.isr,
    logStart: offsetFromWire(partition.logStart),
    highWatermark: offsetFromWire(partition.highWatermark),
    logEnd: offsetFromWire(partition.logEnd),
    retainedBytes: Number(partition.retainedBytes),
    subscribers: partition.subscribers,
    error: faultFromWire(partition),
  };
}

function grantFromWire(grant: GrantMessage): Grant {
  const known = ['publish', 'subscribe', 'admin'] as const;
  return {
    topics: grant.topics,
    operations: known.filter((operation) => grant.operations.includes(operation)),
  };
}

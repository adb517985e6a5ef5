import type {
  DescribeGroupResponse,
  GroupMember as MemberMessage,
  GroupOffset as OffsetMessage,
  GroupSummary as SummaryMessage,
} from '../../gen/sluice/client/v1/groups_pb.ts';
import { offsetFromWire } from '../../wire/offset.ts';

/** `empty`, `stable`, or `rebalancing` while partitions are on their way from one member to another. */
export type GroupState = 'empty' | 'stable' | 'rebalancing';

/** A partition of a topic. */
export interface PartitionName {
  readonly topic: string;
  readonly partition: number;
}

/** A consumer group, in short. */
export interface GroupSummary {
  readonly group: string;
  readonly state: GroupState;
  readonly members: number;
  readonly topics: readonly string[];
  /** Empty: nobody at the moment. */
  readonly coordinatorNodeId: string;
}

/** A member of a consumer group. */
export interface GroupMember {
  readonly memberId: string;
  /** Undefined: it is no static member. */
  readonly instanceId: string | undefined;
  readonly clientId: string;
  readonly filters: readonly string[];
  readonly assigned: readonly PartitionName[];
  /** Taken from it, and not given up yet. */
  readonly revoking: readonly PartitionName[];
  /** Milliseconds since it was heard of. */
  readonly idleMs: number;
}

/** How far a group is in a partition. */
export interface GroupOffset extends PartitionName {
  /** The first offset that is not done; undefined: nothing was ever committed. */
  readonly committed: number | undefined;
  readonly metadata: string;
  /** Exclusive; what readers see. */
  readonly end: number;
  /** Records behind the end, at most. */
  readonly lag: number;
  /** Undefined: nobody. */
  readonly memberId: string | undefined;
  /** Milliseconds since 1970; undefined: never. */
  readonly committedMs: number | undefined;
}

/** A consumer group with its members and how far it is. */
export interface GroupDescription {
  readonly group: string;
  readonly state: GroupState;
  readonly generation: number;
  readonly members: readonly GroupMember[];
  readonly offsets: readonly GroupOffset[];
  /** Of all partitions. */
  readonly lag: number;
  readonly coordinatorNodeId: string;
}

/** A group of a list, as the wire has it. */
export function summaryFromWire({
  group,
  state,
  members,
  topics,
  coordinatorNodeId,
}: SummaryMessage): GroupSummary {
  return { group, state: stateFromWire(state), members, topics, coordinatorNodeId };
}

/** A group as the wire has it, with the lag of all its partitions. */
export function groupFromWire(message: DescribeGroupResponse): GroupDescription {
  const { group, generation, coordinatorNodeId } = message;
  const offsets = message.offsets.map(offsetsFromWire);
  return {
    group,
    state: stateFromWire(message.state),
    generation,
    members: message.members.map(memberFromWire),
    offsets,
    lag: offsets.reduce((sum, { lag }) => sum + lag, 0),
    coordinatorNodeId,
  };
}

/** A state that a newer broker may know is shown as `rebalancing`: something goes on. */
function stateFromWire(state: string): GroupState {
  return state === 'empty' || state === 'stable' ? state : 'rebalancing';
}

function memberFromWire({
  memberId,
  instanceId,
  clientId,
  filters,
  assigned,
  revoking,
  idleMs,
}: MemberMessage): GroupMember {
  return {
    memberId,
    instanceId: instanceId || undefined,
    clientId,
    filters,
    assigned: assigned.map(nameOf),
    revoking: revoking.map(nameOf),
    idleMs: Number(idleMs),
  };
}

function offsetsFromWire(message: OffsetMessage): GroupOffset {
  const { topic, partition, metadata, memberId } = message;
  const committedMs = Number(message.committedMs) || undefined;
  return {
    topic,
    partition,
    committed: committedMs === undefined ? undefined : offsetFromWire(message.committed),
    metadata,
    end: offsetFromWire(message.end),
    lag: Number(message.lag),
    memberId: memberId || undefined,
    committedMs,
  };
}

function nameOf({ topic, partition }: PartitionName): PartitionName {
  return { topic, partition };
}

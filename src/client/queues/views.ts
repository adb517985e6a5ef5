import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  DescribeQueueResponse,
  QueuePartitionStatus as PartitionMessage,
  QueueSettings as SettingsMessage,
  QueueSettingsSchema,
  QueueSummary as SummaryMessage,
} from '../../gen/sluice/client/v1/groups_pb.ts';
import { offsetFromWire } from '../../wire/offset.ts';
import type { StartPosition } from '../subscription/subscribe-options.ts';
import { startMessage } from '../subscription/subscribe-options.ts';
import { withDefaults } from '../with-defaults.ts';

/** How a queue delivers. Times in milliseconds. */
export interface QueueSettings {
  /** How long a record is its consumer's. 10 ms to 12 hours; 30,000. */
  readonly leaseMs: number;
  /** Deliveries before a record becomes a dead letter, 1 to 1,000; 5. 0: without end. */
  readonly maxAttempts: number;
  /** Before the second delivery; doubles for each after it. 1,000. */
  readonly backoffMs: number;
  /** 60,000. */
  readonly maxBackoffMs: number;
  /** A record waits until the one before it of the same key is done. */
  readonly orderedByKey: boolean;
  /** Where dead letters go. */
  readonly deadLetterTopic: string;
}

/** What of a queue shall change, or how it shall be made. */
export type QueueSettingsChange = { readonly [K in keyof QueueSettings]?: QueueSettings[K] | undefined } & {
  /** Where the queue begins; only when it is made. Default: the oldest retained record. */
  readonly from?: Exclude<StartPosition, 'last-per-key'> | undefined;
};

/** A queue, in short; numbers of records of all partitions. */
export interface QueueSummary {
  readonly topic: string;
  readonly group: string;
  /** To be had now; an upper bound where offsets are missing. */
  readonly ready: number;
  readonly leased: number;
  /** Delivered later: `deliverAt`, backoff, or behind another one of the same key. */
  readonly delayed: number;
  readonly coordinatorNodeId: string;
}

/** One partition of a queue. */
export interface QueuePartitionStatus {
  readonly partition: number;
  /** All below are done. */
  readonly floor: number;
  /** None at or above has been delivered. */
  readonly cursor: number;
  /** Exclusive; what readers see. */
  readonly end: number;
  readonly ready: number;
  readonly leased: number;
  readonly delayed: number;
}

/** A queue with its settings and partitions. */
export interface QueueDescription extends QueueSummary {
  readonly settings: QueueSettings;
  readonly partitions: readonly QueuePartitionStatus[];
  /** Requests that wait for records. */
  readonly waitingConsumers: number;
}

const NONE: QueueSettings = {
  leaseMs: 0,
  maxAttempts: 0,
  backoffMs: 0,
  maxBackoffMs: 0,
  orderedByKey: false,
  deadLetterTopic: '',
};

/** Settings as the wire has them; what it leaves out is zero, empty or false. */
export function settingsFromWire(settings: SettingsMessage | undefined): QueueSettings {
  return withDefaults(NONE, settings ?? {});
}

/** What is left out stays as it is, or takes its default. */
export function settingsToWire({
  from,
  ...change
}: QueueSettingsChange): MessageInitShape<typeof QueueSettingsSchema> {
  const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
  return from === undefined ? given : { ...given, start: startMessage(from) };
}

/** A queue of a list, as the wire has it. */
export function summaryFromWire(message: SummaryMessage): QueueSummary {
  const { topic, group, coordinatorNodeId } = message;
  return {
    topic,
    group,
    ready: Number(message.ready),
    leased: Number(message.leased),
    delayed: Number(message.delayed),
    coordinatorNodeId,
  };
}

/** A queue as the wire has it, with the sums over its partitions. */
export function queueFromWire(message: DescribeQueueResponse): QueueDescription {
  const { topic, group, coordinatorNodeId, waitingConsumers } = message;
  const partitions = message.partitions.map(partitionFromWire);
  const sum = (count: (partition: QueuePartitionStatus) => number): number =>
    partitions.reduce((total, partition) => total + count(partition), 0);
  return {
    topic,
    group,
    settings: settingsFromWire(message.settings),
    partitions,
    ready: sum(({ ready }) => ready),
    leased: sum(({ leased }) => leased),
    delayed: sum(({ delayed }) => delayed),
    waitingConsumers,
    coordinatorNodeId,
  };
}

function partitionFromWire(message: PartitionMessage): QueuePartitionStatus {
  return {
    partition: message.partition,
    floor: offsetFromWire(message.floor),
    cursor: offsetFromWire(message.cursor),
    end: offsetFromWire(message.end),
    ready: Number(message.ready),
    leased: Number(message.leased),
    delayed: Number(message.delayed),
  };
}

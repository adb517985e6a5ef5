/**
 * The SDK: `import { connect } from 'sluice'`. docs/sdk.md explains it, examples/ shows it.
 */
export type { ErrorCode } from '../kernel/errors.ts';
export { ERRORS, SluiceError } from '../kernel/errors.ts';
export type { TransportLimits } from '../transport/transport.ts';
export type { Header, WireRecord } from '../wire/record-batch-decoder.ts';
export type { NewToken, NewTopic, TopicChange } from './admin/admin.ts';
export { Admin } from './admin/admin.ts';
export type {
  Fault,
  Grant,
  NodeStatus,
  PartitionDescription,
  SubscriptionStatus,
  TokenDescription,
  TopicDescription,
  TopicSettings,
  TopicSettingsChange,
} from './admin/admin-views.ts';
export type { ClusterNode, ClusterStatus, OnlyCopies } from './admin/cluster-views.ts';
export type { ConnectionInfo } from './client.ts';
export { Client } from './client.ts';
export type { ConnectOptions, ReconnectOptions } from './connection/connect-options.ts';
export { connect } from './connect.ts';
export type { ClientEvents } from './connection/connection-supervisor.ts';
export type { GapEvent } from './subscription/delivery-buffer.ts';
export type { Unlisten } from './events.ts';
export { GroupAdmin } from './groups/admin.ts';
export { GroupConsumer } from './groups/consumer.ts';
export type { GroupEvents, RevokedEvent } from './groups/events.ts';
export type { GroupOptions } from './groups/options.ts';
export type {
  GroupDescription,
  GroupMember,
  GroupOffset,
  GroupState,
  GroupSummary,
  PartitionName,
} from './groups/views.ts';
export type { SendResult } from './producer/outgoing-batch.ts';
export type { ProducerOptions } from './producer/producer-options.ts';
export type { ProducerEvents, RejectedEvent } from './producer/producer.ts';
export { Producer } from './producer/producer.ts';
export type {
  BrowsedRecord,
  RecordChoice,
  RecordPlace,
  SettleOptions,
  SettlementName,
} from './queues/admin.ts';
export { QueueAdmin } from './queues/admin.ts';
export type { DeadLetter } from './queues/dead-letters.ts';
export { DeadLetters } from './queues/dead-letters.ts';
export type { QueueEvents } from './queues/events.ts';
export type { NackOptions } from './queues/job.ts';
export { Job } from './queues/job.ts';
export type { QueueOptions } from './queues/options.ts';
export type { ProcessOptions, ReceiveOptions } from './queues/queue.ts';
export { Queue } from './queues/queue.ts';
export type { UnsettledEvent } from './queues/settlements.ts';
export type {
  QueueDescription,
  QueuePartitionStatus,
  QueueSettings,
  QueueSettingsChange,
  QueueSummary,
} from './queues/views.ts';
export { ReceivedBatch } from './subscription/received-batch.ts';
export type { Bytes, HeadersToSend, RecordToSend } from './record.ts';
export type { DeliveryTimes } from './record-times.ts';
export { ReceivedRecord } from './record.ts';
export type { Position, StartPosition, SubscribeOptions } from './subscription/subscribe-options.ts';
export type {
  SubscriptionEvents,
  SubscriptionStats,
  SubscriptionStatusEvent,
} from './subscription/subscription-events.ts';
export { Subscription } from './subscription/subscription.ts';

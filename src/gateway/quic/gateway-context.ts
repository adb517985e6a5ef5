import type { Broker } from '../../broker/broker.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { ByteBudget } from '../../log/byte-budget.ts';
import type { FailedAuthentications } from '../../security/failed-authentications.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { RecordBatchEncoder } from '../../wire/record-batch-encoder.ts';
import type { GatewayCounters } from './counters.ts';
import type { CredentialWatch } from '../credential-watch.ts';
import type { GatewayLimits } from './limits.ts';
import type { PumpScheduler } from '../pump-scheduler.ts';
import type { SecurityLog } from '../security-log.ts';
import type { PartialBytes } from './partial-bytes.ts';

/** A node as clients are told of it. */
export interface NodeUrls {
  readonly nodeId: string;
  /** `quic://host:port`, `tls://host:port`. */
  readonly urls: readonly string[];
  readonly zone: string;
}

/** What clients are told about this node. */
export interface NodeFacts {
  readonly nodeId: string;
  readonly clusterId: string;
  /** Name and version. */
  readonly software: string;
  /** The nodes clients may connect to, this one included; asked at each WELCOME and for metadata. */
  nodes(): readonly NodeUrls[];
}

/** What all sessions of a gateway share. */
export interface GatewayContext {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly limits: GatewayLimits;
  readonly node: NodeFacts;
  readonly log: Logger;
  readonly scheduler: PumpScheduler;
  readonly credentials: CredentialWatch;
  readonly security: SecurityLog;
  readonly failedAuthentications: FailedAuthentications;
  readonly counters: GatewayCounters;
  /** What raw subscriptions hold inflated for clients that do not read. */
  readonly inflated: ByteBudget;
  /** Empty between uses, which are synchronous. */
  readonly encoder: RecordBatchEncoder;
  /**
   * Unfinished frames of all connections are too many: ends the connection that holds the most of them, so that one which keeps much back
   * does not keep others from publishing.
   * @returns false when that is the one that asks, which has to see to it itself
   */
  makeRoomFor(asking: PartialBytes): boolean;
  /** Connections open now, of every transport. */
  connectionCount(): number;
}

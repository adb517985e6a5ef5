import type { Clock } from '../../kernel/clock.ts';
import type { GrpcCounters } from './counters.ts';
import type { LeaseLedger } from './lease-ledger.ts';
import type { LeaseSettler } from './lease-settler.ts';
import type { MessageBroker } from './ports.ts';
import type { RecordPublisher } from './record-publisher.ts';

/** Bounds of what one call may ask. */
export interface MessageLimits {
  /** Largest key of a message, bytes. */
  readonly maxKeyBytes: number;
  /** What a batch may inflate to before it is taken apart, bytes. */
  readonly maxInflatedBytes: number;
}

/** What all calls of the message service share. */
export interface MessageContext {
  readonly broker: MessageBroker;
  readonly clock: Clock;
  readonly limits: MessageLimits;
  readonly counters: GrpcCounters;
  readonly publisher: RecordPublisher;
  readonly settler: LeaseSettler;
  readonly ledger: LeaseLedger;
}

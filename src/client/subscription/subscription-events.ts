import type { SluiceError } from '../../kernel/errors.ts';
import type { GapEvent } from './delivery-buffer.ts';

/** What happened to a subscription. */
export type SubscriptionStatusEvent =
  /** A broker accepted it for the first time. */
  | { readonly kind: 'connected' }
  /** The broker is away, or could not serve it just now; it goes on by itself. */
  | { readonly kind: 'disconnected'; readonly error: SluiceError }
  /** A broker accepted it again; nothing was lost or repeated. */
  | { readonly kind: 'resumed' }
  | {
      readonly kind: 'partition-added';
      readonly topic: string;
      readonly partition: number;
      readonly offset: number;
    }
  /** The partition's topic was deleted. */
  | { readonly kind: 'partition-ended'; readonly topic: string; readonly partition: number }
  /** The topic was deleted and made again while this client was away: reading begins again at its oldest record. */
  | {
      readonly kind: 'restarted';
      readonly topic: string;
      readonly partition: number;
      readonly from: number;
      readonly to: number;
    }
  /** Nothing more comes; `error` is undefined when it was closed or its topic was deleted. */
  | { readonly kind: 'ended'; readonly error: SluiceError | undefined };

/** Events of a subscription. */
export interface SubscriptionEvents {
  status: SubscriptionStatusEvent;
  /** Emitted when the application reaches the gap, after the records before it. */
  gap: GapEvent;
}

/** Counters of a subscription since it was opened. */
export interface SubscriptionCounters {
  receivedBatches: number;
  /** Bytes of batches as they came, compressed. */
  receivedBytes: number;
  /** Records that were gone before they could be read; each range was a `gap` event. */
  gapRecords: number;
  /** Batches that had come before and were thrown away. */
  duplicateBatches: number;
  /** Datagram mode: offsets that no datagram has brought. Records that a key filter left out count here. */
  missingRecords: number;
  /** Datagram mode: datagrams that came after newer ones and were thrown away. */
  lateDatagrams: number;
  /** Datagram mode: records thrown away because the application did not keep up. */
  droppedRecords: number;
  /** Datagram mode: datagrams that could not be read. */
  badDatagrams: number;
}

/** {@link SubscriptionCounters} at one moment. */
export interface SubscriptionStats extends Readonly<SubscriptionCounters> {
  /** Bytes that wait to be read. */
  readonly bufferedBytes: number;
}

/** All counters at zero. */
export function zeroCounters(): SubscriptionCounters {
  return {
    receivedBatches: 0,
    receivedBytes: 0,
    gapRecords: 0,
    duplicateBatches: 0,
    missingRecords: 0,
    lateDatagrams: 0,
    droppedRecords: 0,
    badDatagrams: 0,
  };
}

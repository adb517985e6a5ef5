/** What the processes of the quickstart say to each other, over Node's IPC channel. */
import type { KeyDigest } from './key-digests.ts';

/** First argument of every child process, as JSON. */
export interface Task {
  readonly url: string;
  /** Authority of the node's certificate, PEM file. */
  readonly ca: string;
  readonly topic: string;
  /** Records in all. */
  readonly records: number;
  /** Records per second that the publisher sends. */
  readonly rate: number;
  /** Subscriptions of this process, all on one connection. */
  readonly subscriptions: readonly SubscriptionTask[];
}

export interface SubscriptionTask {
  readonly name: string;
  /** Stops reading after so many records, for so long. */
  readonly stall?: { readonly afterRecords: number; readonly forMs: number };
}

export interface Progress {
  readonly kind: 'progress';
  readonly name: string;
  readonly records: number;
  /** From the call that published a record to its arrival; over the last interval, undefined when nothing came. */
  readonly p99Ms: number | undefined;
  readonly stalled: boolean;
}

export interface Done {
  readonly kind: 'done';
  readonly name: string;
  readonly records: number;
  readonly p99Ms: number | undefined;
  readonly digests: readonly KeyDigest[];
}

export type Message = { readonly kind: 'ready' } | Progress | Done;

/** The task this process was started with. */
export function task(): Task {
  return JSON.parse(process.argv[2]!) as Task;
}

/** Says something to the parent; resolves when it has left this process. */
export function tell(message: Message): Promise<void> {
  return new Promise((resolve) => process.send!(message, undefined, {}, () => resolve()));
}

import type { Timer } from '../kernel/clock.ts';
import { asSluiceError, SluiceError } from '../kernel/errors.ts';
import type { DatagramFrame, EndFrame, GapFrame } from '../wire/delivery.ts';
import { encodeCredit, GAP_REASON } from '../wire/delivery.ts';
import { offsetFromWire } from '../wire/offset.ts';
import { RecordBatch } from '../wire/record-batch-decoder.ts';
import { Backoff } from './backoff.ts';
import type { Attachment, ConnectionSupervisor } from './connection-supervisor.ts';
import type { DeliveryBuffer, DeliveryItem, GapEvent } from './delivery-buffer.ts';
import type { DeliveryReader } from './delivery-reader.ts';
import type { OffsetRanges } from './offset-ranges.ts';
import { PartitionProgress } from './partition-progress.ts';
import type { ClientPorts } from './ports.ts';
import { ReceivedBatch } from './received-batch.ts';
import { locateAgain } from './relocate.ts';
import type { Session, SessionSubscriber } from './session.ts';
import type { Position, SubscriptionPlan } from './subscribe-options.ts';
import { subscribeRequest } from './subscribe-options.ts';
import type { SubscriptionCounters } from './subscription-events.ts';
import type { SubscriptionStatusEvent } from './subscription-events.ts';

/** What a feed tells its subscription. */
export interface FeedHost {
  readonly counters: SubscriptionCounters;
  status(status: SubscriptionStatusEvent): void;
  /** Nothing more comes: `error` says why; undefined when everything there was has come. */
  ended(error: SluiceError | undefined): void;
}

/** Batches consumed before the broker hears of it; it began with 64 streams. */
const CREDIT_STEP = 16;
const GAP_REASONS = {
  [GAP_REASON.RETENTION]: 'retention',
  [GAP_REASON.DELETED]: 'deleted',
  [GAP_REASON.NOT_SENT]: 'not-sent',
} as const;

/**
 * The broker's side of a subscription: subscribes on each new session where the last one stopped, and turns delivery streams
 * into items of the buffer.
 */
export class SubscriptionFeed implements Attachment, SessionSubscriber {
  readonly #supervisor: ConnectionSupervisor;
  readonly #ports: ClientPorts;
  readonly #plan: SubscriptionPlan;
  readonly #buffer: DeliveryBuffer;
  readonly #host: FeedHost;
  readonly #backoff: Backoff;
  readonly #progress = new Map<string, PartitionProgress>();
  readonly #readers = new Set<DeliveryReader>();
  readonly #endedReaders = new WeakSet<DeliveryReader>();
  readonly #accepted = Promise.withResolvers<undefined>();
  #session: Session | undefined;
  #subscriptionId = 0;
  #everAccepted = false;
  /** Whether the present SUBSCRIBE goes on where an earlier one stopped. */
  #resuming = false;
  #paused: boolean;
  #over = false;
  #creditStreams = 0;
  #retry: Timer | undefined;

  constructor(
    supervisor: ConnectionSupervisor,
    ports: ClientPorts,
    plan: SubscriptionPlan,
    paused: boolean,
    buffer: DeliveryBuffer,
    host: FeedHost,
  ) {
    this.#supervisor = supervisor;
    this.#ports = ports;
    this.#plan = plan;
    this.#paused = paused;
    this.#buffer = buffer;
    this.#host = host;
    this.#backoff = new Backoff({ minMs: 50, maxMs: 5000 }, ports.random);
  }

  /** Subscribes; resolves when a broker has accepted. @throws what the broker answers, what ended the client */
  async open(): Promise<void> {
    this.#supervisor.attach(this);
    await this.#accepted.promise;
  }

  /** All partitions known so far. */
  get progress(): Iterable<PartitionProgress> {
    return this.#progress.values();
  }

  setPaused(paused: boolean): void {
    if (this.#over || paused === this.#paused) return;
    this.#paused = paused;
    const subscriptionId = this.#subscriptionId;
    if (this.#session === undefined || subscriptionId === 0) return;
    this.#session.request(paused ? 'pause' : 'resume', { subscriptionId }).catch(() => undefined); // the next SUBSCRIBE says it again
  }

  /** The buffer has room again. */
  resumeStreams(): void {
    for (const reader of this.#readers) reader.resume();
  }

  /** An item left the buffer for good. */
  consumed(item: DeliveryItem): void {
    if (this.#plan.delivery !== 'unordered' || item.kind !== 'batch') return;
    this.#grantCredit(item.subscriptionId);
  }

  /** Ends it. Idempotent. @param error what whoever waits for {@link open} hears */
  close(error: SluiceError): void {
    if (this.#over) return;
    this.#over = true;
    this.#supervisor.detach(this);
    this.#leaveSession();
    this.#accepted.promise.catch(() => undefined);
    this.#accepted.reject(error);
  }

  sessionUp(session: Session): void {
    this.#leaveSession();
    this.#session = session;
    this.#subscribe(session);
  }

  sessionDown(session: Session, error: SluiceError): void {
    if (session !== this.#session) return;
    this.#leaveSession();
    this.#host.status({ kind: 'disconnected', error });
  }

  closed(error: SluiceError): void {
    this.#end(error);
  }

  opened(reader: DeliveryReader): void {
    const known = this.#find(reader.topic, reader.partition);
    const progress = known ?? this.#add(reader.topic, reader.partition, reader.firstOffset);
    if (this.#plan.delivery === 'ordered' && reader.firstOffset > progress.received) {
      this.#takeGap(progress, progress.received, reader.firstOffset, 'retention');
    }
    this.#readers.add(reader);
    if (this.#buffer.full) reader.pause();
  }

  batch(reader: DeliveryReader, bytes: Buffer): void {
    const progress = this.#find(reader.topic, reader.partition);
    if (progress === undefined || this.#session === undefined) return;
    const batch = this.#open(bytes);
    this.#host.counters.receivedBatches += 1;
    this.#host.counters.receivedBytes += bytes.length;
    if (!this.#place(reader, progress, batch, bytes.length)) this.#grantCredit(this.#subscriptionId);
  }

  gap(reader: DeliveryReader, gap: GapFrame): void {
    const progress = this.#find(reader.topic, reader.partition);
    if (progress === undefined) return;
    if (this.#plan.delivery === 'datagram') this.#countMissing(progress, gap.to);
    const from = this.#plan.delivery === 'unordered' ? Math.min(reader.firstOffset, gap.from) : gap.from;
    if (!progress.hasReceived(from, gap.to))
      this.#takeGap(progress, gap.from, gap.to, GAP_REASONS[gap.reason]);
  }

  ended(reader: DeliveryReader, end: EndFrame): void {
    this.#endedReaders.add(reader);
    this.#readers.delete(reader);
    if (end.error === undefined) return this.#partitionGone(reader);
    const error = new SluiceError(
      end.error,
      `the broker ended ${reader.topic}/${reader.partition}: ${end.message || end.error}`,
    );
    if (end.error === 'OFFSET_OUT_OF_RANGE' && this.#resuming) this.#relocate(error);
    else this.#trouble(error);
  }

  finished(reader: DeliveryReader): void {
    this.#readers.delete(reader);
    if (this.#plan.delivery === 'unordered' || this.#endedReaders.has(reader)) return;
    this.#trouble(
      new SluiceError('UNAVAILABLE', `the stream of ${reader.topic}/${reader.partition} ended without END`),
    );
  }

  broken(reader: DeliveryReader, error: SluiceError): void {
    const at = this.#find(reader.topic, reader.partition)?.received ?? reader.firstOffset;
    this.#end(
      new SluiceError(
        error.code,
        `${reader.topic}/${reader.partition} cannot be read at ${at}: ${error.message}`,
        { cause: error },
      ),
    );
  }

  lost(reader: DeliveryReader, error: SluiceError): void {
    this.#readers.delete(reader);
    const session = this.#session;
    // When the whole connection is gone, the session says so in this same turn: then it is not the stream's own trouble.
    queueMicrotask(() => {
      if (session?.alive === true && session === this.#session) this.#trouble(error);
    });
  }

  datagram(frame: DatagramFrame): void {
    const { counters } = this.#host;
    let batch: RecordBatch;
    try {
      batch = this.#open(Buffer.from(frame.batch));
    } catch {
      counters.badDatagrams += 1;
      return;
    }
    const progress =
      this.#find(frame.topic, frame.partition) ??
      this.#add(frame.topic, frame.partition, batch.header.baseOffset);
    counters.receivedBatches += 1;
    counters.receivedBytes += frame.batch.length;
    if (batch.nextOffset <= progress.received) counters.lateDatagrams += 1;
    else if (this.#buffer.full) counters.droppedRecords += batch.header.recordCount;
    else {
      this.#countMissing(progress, batch.header.baseOffset);
      this.#accept(progress, batch, progress.received, progress.received, frame.batch.length);
    }
  }

  #open(bytes: Buffer): RecordBatch {
    const inflatedMaxBytes = this.#session?.limits.maxInflatedBytes;
    return new RecordBatch(bytes, inflatedMaxBytes === undefined ? {} : { inflatedMaxBytes });
  }

  /** @returns false when all of it had come before */
  #place(reader: DeliveryReader, progress: PartitionProgress, batch: RecordBatch, bytes: number): boolean {
    const { baseOffset } = batch.header;
    switch (this.#plan.delivery) {
      case 'ordered':
        return this.#accept(
          progress,
          batch,
          progress.received,
          Math.max(reader.firstOffset, progress.received),
          bytes,
        );
      case 'unordered': {
        // The stream says what it settles: from where the one before it ended.
        const from = Math.min(reader.firstOffset, baseOffset);
        return this.#accept(progress, batch, from, reader.firstOffset, bytes);
      }
      case 'datagram':
        // A record too large for a datagram comes on the stream, perhaps after newer ones, and fills the hole it left.
        if (batch.nextOffset <= progress.received) {
          this.#host.counters.missingRecords -= batch.nextOffset - baseOffset;
          this.#push(progress, batch, baseOffset, progress.received, bytes, undefined, 0);
          return true;
        }
        this.#countMissing(progress, baseOffset);
        return this.#accept(progress, batch, progress.received, progress.received, bytes);
    }
  }

  /** @returns false when all of it had come before */
  #accept(
    progress: PartitionProgress,
    batch: RecordBatch,
    from: number,
    fromOffset: number,
    bytes: number,
  ): boolean {
    const to = batch.nextOffset;
    if (progress.hasReceived(from, to)) {
      this.#host.counters.duplicateBatches += 1;
      return false;
    }
    const seen = progress.receivedWithin(from, to);
    const below = Math.max(fromOffset, progress.received);
    progress.receive(from, to);
    this.#push(progress, batch, from, to, bytes, seen, below);
    return true;
  }

  #push(
    progress: PartitionProgress,
    batch: RecordBatch,
    from: number,
    to: number,
    bytes: number,
    seen: OffsetRanges | undefined,
    fromOffset: number,
  ): void {
    const received = new ReceivedBatch(progress.topic, progress.partition, batch, fromOffset, bytes, seen);
    this.#buffer.push({
      kind: 'batch',
      progress,
      batch: received,
      from,
      to,
      subscriptionId: this.#subscriptionId,
    });
    if (this.#buffer.full) for (const reader of this.#readers) reader.pause();
  }

  #takeGap(progress: PartitionProgress, gapFrom: number, to: number, reason: GapEvent['reason']): void {
    const from = Math.max(gapFrom, this.#plan.delivery === 'unordered' ? gapFrom : progress.received);
    progress.receive(from, to);
    this.#host.counters.gapRecords += to - from;
    const gap: GapEvent = { topic: progress.topic, partition: progress.partition, from, to, reason };
    this.#buffer.push({
      kind: 'gap',
      progress,
      gap,
      fatal: this.#plan.onGap === 'end' && reason !== 'not-sent',
    });
  }

  #countMissing(progress: PartitionProgress, upTo: number): void {
    if (upTo > progress.received) this.#host.counters.missingRecords += upTo - progress.received;
  }

  #subscribe(session: Session): void {
    const subscriptionId = session.addSubscriber(this);
    this.#subscriptionId = subscriptionId;
    this.#creditStreams = 0;
    this.#resuming = this.#everAccepted;
    // Partitions that appeared while nobody was connected are read from their beginning: they are new.
    const from = this.#everAccepted ? 'earliest' : this.#plan.from;
    const request = subscribeRequest(this.#plan, subscriptionId, from, this.#resumePositions(), this.#paused);
    session.request('subscribe', request).then(
      (response) => {
        if (this.#subscriptionId !== subscriptionId || this.#session !== session) return;
        const positions = response.positions.map((position) => ({
          ...position,
          offset: offsetFromWire(position.offset),
        }));
        this.#subscribed(positions);
      },
      (error: unknown) => {
        if (this.#subscriptionId !== subscriptionId || this.#session !== session) return;
        this.#refused(asSluiceError(error));
      },
    );
  }

  #subscribed(positions: readonly Position[]): void {
    for (const { topic, partition, offset } of positions) {
      if (this.#find(topic, partition) === undefined) this.#add(topic, partition, offset);
    }
    this.#backoff.reset();
    this.#host.status({ kind: this.#everAccepted ? 'resumed' : 'connected' });
    this.#everAccepted = true;
    this.#accepted.resolve(undefined);
  }

  #refused(error: SluiceError): void {
    if (this.#session?.alive !== true) return;
    if (error.code === 'OFFSET_OUT_OF_RANGE' && this.#resuming) this.#relocate(error);
    else this.#trouble(error);
  }

  #resumePositions(): readonly Position[] {
    const known = [...this.#progress.values()].map(({ topic, partition, received }) => ({
      topic,
      partition,
      offset: received,
    }));
    const given = this.#plan.resume.filter(
      ({ topic, partition }) => this.#find(topic, partition) === undefined,
    );
    return [...known, ...given];
  }

  /** Something went wrong that is not the whole connection: try again soon where that may help, else end. */
  #trouble(error: SluiceError): void {
    if (this.#over) return;
    if (!error.retryable) return this.#end(error);
    const session = this.#session;
    if (session === undefined || this.#retry !== undefined) return;
    this.#host.status({ kind: 'disconnected', error });
    this.#retry = this.#ports.clock.setTimer(this.#backoff.nextMs(), () => {
      this.#retry = undefined;
      if (session !== this.#session || session.draining) return; // on a draining broker there is nothing to ask for
      this.#leaveSession();
      this.#session = session;
      this.#subscribe(session);
    });
  }

  /** The log ends before the place to resume at: a topic was deleted and made again. */
  #relocate(error: SluiceError): void {
    const session = this.#session;
    if (session === undefined) return;
    locateAgain(session, [...this.#progress.values()]).then(
      (found) => {
        if (session !== this.#session || this.#over) return;
        if (found.length === 0) return this.#end(error);
        for (const { progress, offset } of found) {
          const { topic, partition, received } = progress;
          // Another object: what still waits in the buffer belongs to the log that is gone.
          this.#progress.set(keyOf(topic, partition), new PartitionProgress(topic, partition, offset));
          this.#host.status({ kind: 'restarted', topic, partition, from: received, to: offset });
        }
        if (this.#plan.onGap === 'end')
          return this.#end(new SluiceError('GAP', error.message, { cause: error }));
        this.#trouble(new SluiceError('UNAVAILABLE', error.message, { cause: error }));
      },
      (cause: unknown) => {
        if (session === this.#session) this.#trouble(asSluiceError(cause));
      },
    );
  }

  #partitionGone(reader: DeliveryReader): void {
    const { topic, partition } = reader;
    this.#progress.delete(keyOf(topic, partition));
    this.#host.status({ kind: 'partition-ended', topic, partition });
    const [name] = this.#plan.filter.split('/', 1);
    if (name === topic && this.#progress.size === 0) this.#end(undefined);
  }

  #end(error: SluiceError | undefined): void {
    if (this.#over) return;
    this.close(error ?? new SluiceError('CLOSED', 'the subscription has ended'));
    this.#host.ended(error);
  }

  #leaveSession(): void {
    this.#retry?.cancel();
    this.#retry = undefined;
    for (const reader of this.#readers) reader.stop();
    this.#readers.clear();
    const session = this.#session;
    const subscriptionId = this.#subscriptionId;
    this.#session = undefined;
    this.#subscriptionId = 0;
    if (session === undefined || subscriptionId === 0) return;
    session.removeSubscriber(subscriptionId);
    if (session.alive) session.request('unsubscribe', { subscriptionId }).catch(() => undefined); // it is as good as gone
  }

  #grantCredit(subscriptionId: number): void {
    if (this.#plan.delivery !== 'unordered' || subscriptionId !== this.#subscriptionId) return;
    this.#creditStreams += 1;
    if (this.#creditStreams < CREDIT_STEP && !this.#buffer.empty) return;
    this.#session?.writeControl(encodeCredit({ subscription: subscriptionId, streams: this.#creditStreams }));
    this.#creditStreams = 0;
  }

  #find(topic: string, partition: number): PartitionProgress | undefined {
    return this.#progress.get(keyOf(topic, partition));
  }

  #add(topic: string, partition: number, offset: number): PartitionProgress {
    const progress = new PartitionProgress(topic, partition, offset);
    this.#progress.set(keyOf(topic, partition), progress);
    this.#host.status({ kind: 'partition-added', topic, partition, offset });
    return progress;
  }
}

/** A topic's name has no slash. */
function keyOf(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}

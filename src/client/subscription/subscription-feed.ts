import type { Timer } from '../../kernel/clock.ts';
import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import { INFLATED_MAX_BYTES } from '../../wire/codecs.ts';
import type { DatagramFrame, EndFrame, GapFrame } from '../../wire/delivery.ts';
import { encodeCredit } from '../../wire/delivery.ts';
import { offsetFromWire } from '../../wire/offset.ts';
import { Backoff } from '../../kernel/backoff.ts';
import type { Attachment, ConnectionSupervisor } from '../connection/connection-supervisor.ts';
import type { DeliveryBuffer, DeliveryItem } from './delivery-buffer.ts';
import type { IntakeHost, IntakeSource } from './delivery-intake.ts';
import { DeliveryIntake } from './delivery-intake.ts';
import type { DeliveryReader } from '../connection/delivery-reader.ts';
import type { PartitionProgress } from './partition-progress.ts';
import type { ClientPorts } from '../ports.ts';
import { locateAgain } from './relocate.ts';
import type { Session, SessionSubscriber } from '../connection/session.ts';
import type { Position, SubscriptionPlan } from './subscribe-options.ts';
import { subscribeRequest } from './subscribe-options.ts';

/** What a feed tells its subscription. */
export interface FeedHost extends IntakeHost {
  /** Nothing more comes: `error` says why; undefined when everything there was has come. */
  ended(error: SluiceError | undefined): void;
}

/** Batches consumed before the broker hears of it; it began with 64 streams. */
const CREDIT_STEP = 16;

/**
 * The broker's side of a subscription: subscribes on each new session where the last one stopped, and hands what the delivery
 * streams bring to the intake.
 */
export class SubscriptionFeed implements Attachment, SessionSubscriber {
  readonly #supervisor: ConnectionSupervisor;
  readonly #ports: ClientPorts;
  readonly #plan: SubscriptionPlan;
  readonly #buffer: DeliveryBuffer;
  readonly #host: FeedHost;
  readonly #intake: DeliveryIntake;
  readonly #backoff: Backoff;
  readonly #readers = new Set<DeliveryReader>();
  readonly #endedReaders = new WeakSet<DeliveryReader>();
  readonly #accepted = Promise.withResolvers<undefined>();
  #session: Session | undefined;
  #source: IntakeSource = { subscriptionId: 0, inflatedMaxBytes: INFLATED_MAX_BYTES };
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
    this.#intake = new DeliveryIntake(plan, buffer, host);
    this.#backoff = new Backoff({ minMs: 50, maxMs: 5000 }, ports.random);
  }

  /** Subscribes; resolves when a broker has accepted. @throws what the broker answers, what ended the client */
  async open(): Promise<void> {
    this.#supervisor.attach(this);
    await this.#accepted.promise;
  }

  /** All partitions known now. */
  get partitions(): readonly PartitionProgress[] {
    return this.#intake.partitions;
  }

  setPaused(paused: boolean): void {
    if (this.#over || paused === this.#paused) return;
    this.#paused = paused;
    const { subscriptionId } = this.#source;
    if (this.#session === undefined || subscriptionId === 0) return;
    this.#session.request(paused ? 'pause' : 'resume', { subscriptionId }).catch(() => undefined); // the next SUBSCRIBE says it again
  }

  /** The buffer has room again. */
  resumeStreams(): void {
    for (const reader of this.#readers) reader.resume();
  }

  /** An item left the buffer for good. */
  consumed(item: DeliveryItem): void {
    if (item.kind === 'batch') this.#grantCredit(item.subscriptionId);
  }

  /** Ends it. Idempotent. @param error what whoever waits for {@link open} hears */
  close(error: SluiceError): void {
    if (this.#over) return;
    this.#over = true;
    this.#supervisor.detach(this);
    this.#leaveSession();
    this.#accepted.promise.catch(() => undefined); // nobody may be waiting any more
    this.#accepted.reject(error);
  }

  sessionUp(session: Session): void {
    this.#leaveSession();
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
    if (!this.#intake.opened(reader) && this.#plan.onGap === 'end') {
      const text = `${reader.topic}/${reader.partition} has another log now, which begins at offset ${reader.firstOffset}`;
      this.#end(new SluiceError('GAP', text));
      return;
    }
    this.#readers.add(reader);
    if (this.#buffer.full) reader.pause();
  }

  batch(reader: DeliveryReader, bytes: Buffer): void {
    if (!this.#intake.batch(reader, bytes, this.#source)) this.#grantCredit(this.#source.subscriptionId);
    if (this.#buffer.full) for (const each of this.#readers) each.pause();
  }

  gap(reader: DeliveryReader, gap: GapFrame): void {
    this.#intake.gap(reader, gap);
  }

  ended(reader: DeliveryReader, end: EndFrame): void {
    this.#endedReaders.add(reader);
    this.#readers.delete(reader);
    const { topic, partition } = reader;
    if (end.error === undefined) {
      this.#partitionGone(topic, partition);
      return;
    }
    const text = `the broker ended ${topic}/${partition}: ${end.message || end.error}`;
    this.#refused(new SluiceError(end.error, text));
  }

  finished(reader: DeliveryReader): void {
    this.#readers.delete(reader);
    if (this.#plan.delivery === 'unordered' || this.#endedReaders.has(reader)) return;
    const where = `${reader.topic}/${reader.partition}`;
    this.#trouble(new SluiceError('UNAVAILABLE', `the stream of ${where} ended without END`));
  }

  broken(reader: DeliveryReader, error: SluiceError): void {
    const at = this.#intake.find(reader.topic, reader.partition)?.received ?? reader.firstOffset;
    const text = `${reader.topic}/${reader.partition} cannot be read at offset ${at}: ${error.message}`;
    this.#end(new SluiceError(error.code, text, { cause: error }));
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
    this.#intake.datagram(frame, this.#source);
  }

  #subscribe(session: Session): void {
    const subscriptionId = session.addSubscriber(this);
    this.#session = session;
    this.#intake.clusterId = session.clusterId;
    this.#source = { subscriptionId, inflatedMaxBytes: session.limits.maxInflatedBytes };
    this.#creditStreams = 0;
    this.#resuming = this.#everAccepted;
    const isCurrent = (): boolean =>
      this.#source.subscriptionId === subscriptionId && this.#session === session;
    // Partitions that appeared while nobody was connected are read from their beginning: they are new.
    const from = this.#everAccepted ? 'earliest' : this.#plan.from;
    const request = subscribeRequest(this.#plan, subscriptionId, from, this.#resumePositions(), this.#paused);
    session.request('subscribe', request).then(
      ({ positions }) => {
        if (!isCurrent()) return;
        for (const { topic, partition, offset } of positions) {
          this.#intake.findOrAdd(topic, partition, offsetFromWire(offset));
        }
        this.#subscribed();
      },
      (error: unknown) => {
        if (isCurrent() && session.alive) this.#refused(asSluiceError(error));
      },
    );
  }

  #subscribed(): void {
    this.#backoff.reset();
    this.#host.status({ kind: this.#everAccepted ? 'resumed' : 'connected' });
    this.#everAccepted = true;
    this.#accepted.resolve(undefined);
  }

  #refused(error: SluiceError): void {
    if (error.code === 'OFFSET_OUT_OF_RANGE' && this.#resuming) this.#relocate(error);
    else this.#trouble(error);
  }

  #resumePositions(): readonly Position[] {
    const known = this.#intake.partitions.flatMap((progress) => {
      const { topic, partition, received, clusterId } = progress;
      // Offsets of another cluster mean nothing here: whatever this one has of the partition begins below them.
      const sameCluster = clusterId === this.#intake.clusterId;
      progress.resumedAt = sameCluster ? received : Infinity;
      return sameCluster ? [{ topic, partition, offset: received }] : [];
    });
    const isNew = ({ topic, partition }: Position): boolean =>
      this.#intake.find(topic, partition) === undefined;
    return [...known, ...this.#plan.resume.filter(isNew)];
  }

  /** Something went wrong that is not the whole connection: try again soon where that may help, else end. */
  #trouble(error: SluiceError): void {
    if (this.#over) return;
    if (!error.retryable) {
      this.#end(error);
      return;
    }
    const session = this.#session;
    if (session === undefined || this.#retry !== undefined) return;
    this.#host.status({ kind: 'disconnected', error });
    this.#retry = this.#ports.clock.setTimer(this.#backoff.nextMs(), () => {
      this.#retry = undefined;
      if (session !== this.#session || session.draining) return; // on a draining broker there is nothing to ask for
      this.#leaveSession();
      this.#subscribe(session);
    });
  }

  /** A log ends before the place to resume at: its topic was deleted and made again. */
  #relocate(error: SluiceError): void {
    const session = this.#session;
    if (session === undefined) return;
    locateAgain(session, this.#intake.partitions).then(
      (found) => {
        if (session !== this.#session || this.#over) return;
        for (const { progress, offset } of found) this.#intake.restart(progress, offset);
        const code = this.#plan.onGap === 'end' ? 'GAP' : 'UNAVAILABLE';
        if (found.length === 0) this.#end(error);
        else this.#trouble(new SluiceError(code, error.message, { cause: error }));
      },
      (cause: unknown) => {
        if (session === this.#session) this.#trouble(asSluiceError(cause));
      },
    );
  }

  #partitionGone(topic: string, partition: number): void {
    this.#intake.remove(topic, partition);
    this.#host.status({ kind: 'partition-ended', topic, partition });
    const [name] = this.#plan.filter.split('/', 1);
    if (name === topic && this.#intake.partitions.length === 0) this.#end(undefined);
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
    const { subscriptionId } = this.#source;
    this.#session = undefined;
    this.#source = { ...this.#source, subscriptionId: 0 };
    if (session === undefined || subscriptionId === 0) return;
    session.removeSubscriber(subscriptionId);
    if (session.alive) session.request('unsubscribe', { subscriptionId }).catch(() => undefined); // it is as good as gone
  }

  /** Unordered: the broker may open as many streams more as were consumed. */
  #grantCredit(subscriptionId: number): void {
    if (this.#plan.delivery !== 'unordered' || subscriptionId !== this.#source.subscriptionId) return;
    this.#creditStreams += 1;
    if (this.#creditStreams < CREDIT_STEP && !this.#buffer.empty) return;
    this.#session?.writeControl(encodeCredit({ subscription: subscriptionId, streams: this.#creditStreams }));
    this.#creditStreams = 0;
  }
}

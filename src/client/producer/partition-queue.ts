import { Backoff } from '../../kernel/backoff.ts';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { Produced } from '../../wire/produce.ts';
import type { HeaderInput } from '../../wire/record-batch-encoder.ts';
import { BatchNumbers, makeCertain } from './batch-numbers.ts';
import { OpenBatch } from './open-batch.ts';
import type { Delivery, LogIdentity, OutgoingBatch, ProducerIdentity } from './outgoing-batch.ts';
import type { ClientPorts } from '../ports.ts';
import type { ProducerPlan } from './producer-options.ts';
import type { BatchSender, ProducerStream } from './producer-stream.ts';
import { isAboutSequences, leavesUnclear } from './refusals.ts';
import type { SendRoom } from './send-room.ts';

/** What a partition's queue needs of its producer. */
export interface QueueHost {
  readonly plan: ProducerPlan;
  readonly ports: ClientPorts;
  readonly room: SendRoom;
  /** Where a partition's batches go now; undefined while there is no connection. The producer pumps when that changes. */
  streamOf(topic: string, partition: number): ProducerStream | undefined;
  /** Undefined while the broker has not given one. The producer pumps when that changes. */
  readonly identity: ProducerIdentity | undefined;
  /** The broker does not accept `old` any more: a new one is needed, unless there is one already. */
  renewIdentity(old: ProducerIdentity): void;
  /** The log that a partition has on this connection. */
  logOf(topic: string, partition: number): LogIdentity;
  /** Asks for partitions and epochs of a topic again. */
  refreshTopic(topic: string): void;
  /** Asks who leads the partitions of a topic, sooner or later: nodes say that it is not who it was thought to be. */
  leaderWrong(topic: string): void;
  /** Pumps `queue` at the end of this turn. */
  pumpSoon(queue: PartitionQueue): void;
  /** A batch was given up: `unheard` of its records have nobody who waits for them. */
  batchRejected(queue: PartitionQueue, error: SluiceError, unheard: number): void;
}

/** Identities a batch gets before it is given up. */
const MAX_RENEWALS = 3;

/**
 * What a producer has for one partition, in order.
 *
 *     append ─> open batch ── full, or may be sent ──> sealed ── up to five in flight ──> answered
 *
 * Nagle's rule decides when a batch that is not full goes: at once when nothing is in flight, else when the answer comes or
 * `lingerMs` is over. After any failure the queue sends nothing more until all in flight is answered (`settling`); then it goes
 * on with the first batch that is not stored, after a pause where that helps (`resting`). So a batch never overtakes another.
 *
 * A queue goes over to another stream only when nothing is in flight on the one before.
 *
 * {@link BatchNumbers} gives batches their place in the order.
 */
export class PartitionQueue implements BatchSender {
  readonly topic: string;
  readonly partition: number;
  readonly #host: QueueHost;
  readonly #plan: ProducerPlan;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  readonly #open = new OpenBatch();
  readonly #numbers = new BatchNumbers();
  #sealed: OutgoingBatch[] = [];
  #inFlight = 0;
  /** Where the last batch went: all that is in flight is there. */
  #sentOn: ProducerStream | undefined;
  #state: 'flowing' | 'settling' | 'resting' = 'flowing';
  #pause: Timer | undefined;
  /** Why the broker refused a batch that was sent again, for who waits for it in vain. */
  #lastRefusal: SluiceError | undefined;
  #pauseWanted = false;
  /** Nobody led when this was last asked for: whoever takes the next batch says that there is a leader now. */
  #leaderless = false;
  #linger: Timer | undefined;
  #lingerOver = false;
  #flushBelow = 0;
  readonly #flushes: { readonly below: number; resolve(): void }[] = [];

  constructor(host: QueueHost, topic: string, partition: number) {
    this.#host = host;
    this.#plan = host.plan;
    this.#clock = host.ports.clock;
    this.#backoff = new Backoff({ minMs: 20, maxMs: 2000 }, host.ports.random);
    this.topic = topic;
    this.partition = partition;
  }

  /** Whether nothing waits here. */
  get idle(): boolean {
    return this.#sealed.length === 0 && this.#open.count === 0;
  }

  /**
   * Takes a record; its bytes are copied.
   * @returns whether its batch is complete with it
   * @throws INVALID_ARGUMENT when its time is no whole number
   */
  append(
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly HeaderInput[],
    timestampMs: number,
    delivery: Delivery | undefined,
  ): boolean {
    const open = this.#open;
    const fits = this.fits(key, value, headers);
    if (!fits) this.#seal();
    this.#host.room.take(open.append(key, value, headers, timestampMs, delivery));
    if (open.count === 1) this.#begin();
    const full = open.sizeBytes >= this.#plan.batchBytes;
    if (full) this.#seal();
    if (full || !fits) this.pump();
    return full;
  }

  /** Whether a record fits the batch at hand. */
  fits(key: Uint8Array | null, value: Uint8Array | null, headers: readonly HeaderInput[]): boolean {
    return this.#open.fits(key, value, headers, this.#plan.batchBytes);
  }

  /** The batch at hand gets no more records. */
  complete(): void {
    if (this.#open.count > 0) this.#seal();
    this.pump();
  }

  /** Resolves when everything taken so far is answered for. */
  flush(): Promise<void> {
    if (this.idle) return Promise.resolve();
    const below = this.#open.number + (this.#open.count > 0 ? 1 : 0);
    this.#flushBelow = below;
    this.#host.pumpSoon(this);
    return new Promise((resolve) => this.#flushes.push({ below, resolve }));
  }

  /** Sends what may be sent now. */
  pump(): void {
    if (this.#state !== 'flowing') return;
    const stream = this.#host.streamOf(this.topic, this.partition);
    if (stream === undefined || !this.#hasIdentity()) return;
    if (this.#inFlight > 0 && stream !== this.#sentOn) return;
    for (let batch = this.#next(); batch !== undefined; batch = this.#next()) {
      if (!stream.hasRoom) {
        stream.pumpLater(this);
        return;
      }
      this.#send(stream, batch);
    }
  }

  answered(batch: OutgoingBatch, produced: Produced): void {
    this.#inFlight -= 1;
    batch.inFlight = false;
    if (produced.error === undefined) this.#stored(batch, produced);
    else
      this.#refused(
        batch,
        new SluiceError(
          produced.error,
          produced.message || `the broker refused the batch: ${produced.error}`,
        ),
      );
    if (this.#state === 'settling' && this.#inFlight === 0) this.#settle();
    else this.pump();
  }

  /** `stream` is gone with what was in flight. @param final sending it again would end the same way */
  streamLost(stream: ProducerStream, error: SluiceError, final: boolean): void {
    if (stream !== this.#sentOn) return;
    this.#sentOn = undefined;
    const lost = this.#sealed.filter((batch) => batch.inFlight);
    this.#inFlight = 0;
    for (const batch of lost) {
      batch.inFlight = false;
      batch.lose();
      if (final || batch.attempts > this.#plan.retries) this.#giveUp(batch, error);
    }
    if (this.#state === 'settling') this.#settle();
  }

  /** Gives up what has waited too long. */
  expire(nowMs: number): void {
    if (this.#open.count > 0 && this.#open.deadlineMs <= nowMs) this.#seal();
    for (const batch of this.#sealed.filter(({ deadlineMs }) => deadlineMs <= nowMs)) {
      this.#giveUp(batch, this.#tooLate());
    }
    if (this.#state === 'settling' && this.#inFlight === 0) this.#settle();
  }

  #tooLate(): SluiceError {
    const text = `${this.topic}/${this.partition}: not stored within ${this.#plan.deliveryTimeoutMs} ms`;
    const cause = this.#lastRefusal;
    return cause
      ? new SluiceError('TIMEOUT', `${text}; the broker said ${cause.code}: ${cause.message}`, { cause })
      : new SluiceError('TIMEOUT', `${text}; no answer came`);
  }

  /** Gives up everything. */
  rejectAll(error: SluiceError): void {
    this.#pause?.cancel();
    this.#linger?.cancel();
    if (this.#open.count > 0) this.#seal();
    for (const batch of [...this.#sealed]) this.#giveUp(batch, error);
  }

  /** The first record of a batch came. */
  #begin(): void {
    this.#open.deadlineMs = this.#clock.monotonicMs() + this.#plan.deliveryTimeoutMs;
    if (this.#inFlight === 0 && this.#sealed.length === 0) this.#host.pumpSoon(this);
    else {
      this.#linger ??= this.#clock.setTimer(this.#plan.lingerMs, () => {
        this.#linger = undefined;
        this.#lingerOver = true;
        this.pump();
      });
    }
  }

  #seal(): void {
    const open = this.#open;
    this.#sealed.push(open.seal(this.#plan.codec, this.#numbers.next(open.count)));
    this.#linger?.cancel();
    this.#linger = undefined;
    this.#lingerOver = false;
  }

  /** The batch to send now; seals the open one when its time has come. */
  #next(): OutgoingBatch | undefined {
    let batch = this.#sealed.find(({ inFlight }) => !inFlight);
    if (!this.#hasPlace(batch?.number ?? this.#open.number)) return undefined;
    if (batch === undefined) {
      const due = this.#inFlight === 0 || this.#lingerOver || this.#open.number < this.#flushBelow;
      if (this.#open.count === 0 || !due) return undefined;
      this.#seal();
      batch = this.#sealed.at(-1)!;
    }
    // Another identity has no place in the order of this one: wait until all of this one is answered.
    const ahead = this.#inFlight > 0 ? this.#sealed.find(({ inFlight }) => inFlight) : undefined;
    return ahead !== undefined && ahead.identity !== batch.identity ? undefined : batch;
  }

  /** The broker has to remember the oldest batch that is not answered, whatever it has stored of those behind. */
  #hasPlace(number: number): boolean {
    const { maxInFlight } = this.#plan;
    const oldest = this.#sealed[0]?.number ?? number;
    return this.#inFlight < maxInFlight && number - oldest < maxInFlight;
  }

  #send(stream: ProducerStream, batch: OutgoingBatch): void {
    batch.attempts += 1;
    batch.sentTo = this.#host.logOf(this.topic, this.partition);
    stream.send(this, batch, this.#plan.acks);
    if (this.#plan.acks === 0) {
      this.#remove(batch);
      batch.resolve(this.topic, this.partition, undefined);
      return;
    }
    this.#sentOn = stream;
    batch.inFlight = true;
    this.#inFlight += 1;
  }

  #stored(batch: OutgoingBatch, produced: Produced): void {
    this.#backoff.reset();
    if (this.#leaderless) {
      this.#leaderless = false;
      this.#host.leaderWrong(this.topic);
    }
    if (batch.abandoned) return;
    this.#remove(batch);
    batch.resolve(this.topic, this.partition, produced);
  }

  #refused(batch: OutgoingBatch, error: SluiceError): void {
    const consequence = this.#state === 'settling' && error.code === 'OUT_OF_ORDER_SEQUENCE';
    this.#state = 'settling';
    if (leavesUnclear(error.code)) batch.lose();
    if (error.code === 'NOT_LEADER') {
      this.#leaderless = true;
      this.#host.leaderWrong(this.topic);
    }
    if (batch.abandoned) {
      this.#leaveHole(batch);
      return;
    }
    if (consequence) return;
    if (this.#plan.idempotent && isAboutSequences(error.code)) {
      this.#refusedByOrder(batch, error);
      return;
    }
    if (!error.retryable || batch.attempts > this.#plan.retries) {
      this.#giveUp(batch, error);
      return;
    }
    this.#lastRefusal = error;
    this.#pauseWanted = true;
  }

  /** The broker's memory of this producer does not fit the batch. */
  #refusedByOrder(batch: OutgoingBatch, error: SluiceError): void {
    const certain = error.code === 'UNKNOWN_PRODUCER' ? this.#isNewLog(batch) : !batch.uncertain;
    if (certain === undefined) {
      this.#host.refreshTopic(this.topic);
      this.#pauseWanted = true;
      return;
    }
    this.#numbers.wantOther();
    batch.renewals += 1;
    if (certain) makeCertain(this.#sealed);
    if (!certain || batch.renewals > MAX_RENEWALS) this.#giveUp(batch, error);
  }

  /**
   * Whether what was in flight in vain is certainly not in the log of a broker that does not know the producer: when its leader has
   * begun anew since, what its log holds of a producer is what it knows of it. A leader that was there all the time may have
   * forgotten the producer, but not its records. Undefined while that is not to be told.
   */
  #isNewLog(batch: OutgoingBatch): boolean | undefined {
    return !batch.uncertain || batch.isNewTo(this.#host.logOf(this.topic, this.partition));
  }

  /** Removes a batch that will not be stored, or of which nobody will know. */
  #giveUp(batch: OutgoingBatch, error: SluiceError): void {
    this.#remove(batch);
    if (batch.inFlight) batch.abandoned = true;
    else this.#leaveHole(batch);
    batch.reject(error);
    this.#host.batchRejected(this, error, batch.recordCount - batch.deliveries.length);
  }

  #leaveHole(batch: OutgoingBatch): void {
    if (this.#numbers.leaveHole(batch, this.#sealed)) this.#state = 'settling';
  }

  /** Nothing is in flight after a failure: decide how to go on. */
  #settle(): void {
    const dropped = this.#numbers.settle(this.#sealed);
    if (dropped !== undefined) this.#host.renewIdentity(dropped);
    this.#state = 'flowing';
    this.#pause?.cancel();
    if (!this.#pauseWanted) {
      this.#host.pumpSoon(this);
      return;
    }
    this.#pauseWanted = false;
    this.#state = 'resting';
    this.#pause = this.#clock.setTimer(this.#backoff.nextMs(), () => {
      this.#pause = undefined;
      this.#state = 'flowing';
      this.pump();
    });
  }

  /** Whether batches can be numbered; takes the producer's identity where this queue has none. */
  #hasIdentity(): boolean {
    if (!this.#plan.idempotent || this.#numbers.known) return true;
    const { identity } = this.#host;
    if (identity === undefined) return false;
    this.#numbers.begin(identity, this.#sealed);
    return true;
  }

  #remove(batch: OutgoingBatch): void {
    const at = this.#sealed.indexOf(batch);
    if (at === 0) this.#sealed.shift();
    else if (at > 0) this.#sealed.splice(at, 1);
    else return;
    this.#host.room.free(batch.roomBytes);
    const settledBelow = this.#sealed[0]?.number ?? this.#open.number;
    while (this.#flushes.length > 0 && this.#flushes[0]!.below <= settledBelow)
      this.#flushes.shift()!.resolve();
  }
}

import type { Timer } from '../../kernel/clock.ts';
import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import type { ConnectionSupervisor } from '../connection/connection-supervisor.ts';
import { DeliveryBuffer } from '../subscription/delivery-buffer.ts';
import { DeliveryIteration } from '../subscription/delivery-iteration.ts';
import type { Unlisten } from '../events.ts';
import { Events } from '../events.ts';
import type { GroupRequests } from '../group-requests.ts';
import type { ClientPorts } from '../ports.ts';
import { ReceivedBatch } from '../subscription/received-batch.ts';
import { ReceivedRecord } from '../record.ts';
import type { Position, StartPosition } from '../subscription/subscribe-options.ts';
import { OffsetCommits } from './commits.ts';
import type { GroupEvents } from './events.ts';
import { GroupPartitions } from './partitions.ts';
import type { GroupPlan } from './options.ts';
import { Membership } from './membership.ts';

/** What a member needs of its client. */
export interface GroupContext {
  readonly supervisor: ConnectionSupervisor;
  readonly ports: ClientPorts;
  /** On a stream of the member's own. */
  readonly requests: GroupRequests;
  readonly clientId: string;
  /** Which offset a position is. */
  offsetAt(topic: string, partition: number, at: StartPosition): Promise<number>;
  /** Called once when the member is over. */
  onClosed(member: GroupConsumer): void;
}

/**
 * A member of a consumer group: an async iterable of the records of the partitions that are its own, or of batches with
 * {@link batches}. The members of a group share the partitions of its topics, and the group remembers how far each is.
 *
 *     join ── assigned ──> a subscription for each partition ──> one buffer ──> iterator ── commit ──> broker
 *
 * Every record is processed at least once: after a crash what was not committed comes again, to whoever has the partition then. It survives
 * lost connections by itself. Iterate it once at a time; `break` closes it.
 */
export class GroupConsumer implements AsyncIterable<ReceivedRecord>, AsyncDisposable {
  readonly group: string;
  readonly #context: GroupContext;
  readonly #plan: GroupPlan;
  readonly #events = new Events<GroupEvents>();
  readonly #buffer: DeliveryBuffer;
  readonly #iteration: DeliveryIteration;
  readonly #partitions: GroupPartitions;
  readonly #membership: Membership;
  readonly #commits: OffsetCommits;
  readonly #joined = Promise.withResolvers<undefined>();
  readonly #over = Promise.withResolvers<undefined>();
  #commitTimer: Timer | undefined;
  #closing: Promise<void> | undefined;
  #ended = false;
  #error: SluiceError | undefined;

  private constructor(context: GroupContext, plan: GroupPlan) {
    this.group = plan.group;
    this.#context = context;
    this.#plan = plan;
    const { supervisor, ports, requests, clientId } = context;
    this.#buffer = new DeliveryBuffer(plan.bufferBytes, () => this.#partitions.resumeStreams());
    this.#iteration = this.#iterate();
    this.#partitions = new GroupPartitions(
      { supervisor, ports, plan, buffer: this.#buffer, failed: (error) => this.#fail(error) },
      this.#iteration,
      {
        emit: (name, event) => this.#events.emit(name, event),
        beforeGivingUp: () => this.#commitBeforeGivingUp(),
      },
    );
    this.#membership = new Membership(requests.ask, ports, plan, clientId, {
      owned: () => this.#partitions.owned,
      assign: (assigned) => {
        this.#joined.resolve(undefined);
        this.#buffer.wake(); // what was held back because nothing was heard may go on
        return this.#partitions.assign(assigned);
      },
      lost: () => {
        this.#commits.lose();
        this.#partitions.lose();
      },
      failed: (error) => this.#fail(error),
    });
    this.#commits = new OffsetCommits(requests.ask, {
      group: plan.group,
      memberId: this.#membership.memberId,
      generation: () => this.#membership.generation,
    });
    this.#joined.promise.catch(() => undefined); // nobody may be waiting
  }

  /** Begins to join. */
  static start(context: GroupContext, plan: GroupPlan): GroupConsumer {
    const consumer = new GroupConsumer(context, plan);
    consumer.#membership.start();
    if (plan.commit === 'auto') consumer.#commitLater();
    return consumer;
  }

  /** Chosen at random, different for each member. */
  get memberId(): string {
    return this.#membership.memberId;
  }

  /** Calls `listener` for each event of that name from now on. */
  on<Name extends keyof GroupEvents>(name: Name, listener: (event: GroupEvents[Name]) => void): Unlisten {
    return this.#events.on(name, listener);
  }

  /** Resolves when it is a member. @throws what the broker refuses it with: FORBIDDEN, INVALID_ARGUMENT, INVALID_FILTER; CLOSED */
  async ready(): Promise<void> {
    await this.#joined.promise;
  }

  /** The records, in order within each partition. The iterator throws what ended the member, after the records before it. */
  [Symbol.asyncIterator](): AsyncIterator<ReceivedRecord, undefined> {
    return this.#iteration.records();
  }

  /** Batches instead of records: the fastest way to read. */
  batches(): AsyncIterable<ReceivedBatch> {
    return { [Symbol.asyncIterator]: () => this.#iteration.batches() };
  }

  /** What is assigned now, and where each partition goes on: after the last record that was handed out. */
  assignment(): readonly Position[] {
    return this.#partitions.positions();
  }

  /**
   * Commits that a record, or a batch, and all before it in its partition are done; or places to go on at; or, without an argument,
   * everything that was handed out. Resolves when it is stored. Commits of one moment go together, one request at a time.
   *
   * @throws STALE_GENERATION, UNKNOWN_MEMBER when the partition is no longer this member's, or has not been all the time since the record
   *   was handed out, or its topic was made anew: another one processes the record again, if it is still there; TIMEOUT
   */
  async commit(what?: ReceivedRecord | ReceivedBatch | readonly Position[]): Promise<void> {
    const positions = what === undefined ? this.#partitions.positions() : positionsOf(what);
    if (!this.#ended) this.#checkHandedOut(what);
    await this.#commit(positions);
  }

  /**
   * Goes on elsewhere in a partition that is this member's; what waits of it is thrown away.
   *
   * @param to an offset, a Date, `earliest` or `latest`
   * @throws INVALID_ARGUMENT when the partition is not assigned to this member; OFFSET_OUT_OF_RANGE, TIMEOUT
   */
  async seek(topic: string, partition: number, to: Exclude<StartPosition, 'last-per-key'>): Promise<void> {
    this.#partitions.require(topic, partition);
    const offset = typeof to === 'number' ? to : await this.#context.offsetAt(topic, partition, to);
    this.#partitions.require(topic, partition).seek(offset);
  }

  /** Commits (with `commit: 'auto'`) all but the record in hand, and leaves the group. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= Promise.race([this.#close(), this.#over.promise]);
    return this.#closing;
  }

  /** Ends at once: nothing is committed, and the group learns of it after the session timeout. Idempotent. */
  abort(): void {
    this.#end(undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #iterate(): DeliveryIteration {
    return new DeliveryIteration(this.#buffer, {
      isHeld: () => this.#membership.isSilent && !this.#ended,
      isOver: () => this.#ended && this.#buffer.empty,
      wants: (item) => !item.progress.dropped,
      consumed: () => undefined,
      gap: (gap) => this.#events.emit('gap', gap),
      abandon: (error) => {
        this.#fail(error);
        this.#error = undefined; // the iterator throws it itself
      },
      finish: () => this.#finish(),
      close: () => this.close(),
    });
  }

  #checkHandedOut(what: ReceivedRecord | ReceivedBatch | readonly Position[] | undefined): void {
    if (what instanceof ReceivedRecord) this.#partitions.checkHandedOut(what, ReceivedRecord.originOf(what));
    if (what instanceof ReceivedBatch) this.#partitions.checkHandedOut(what, ReceivedBatch.originOf(what));
  }

  async #commit(positions: readonly Position[]): Promise<void> {
    await this.#commits.commit(positions);
    this.#partitions.committed(positions);
  }

  /** What is processed and not committed; what the application is at is not. */
  async #commitProcessed(): Promise<void> {
    try {
      await this.#commit(this.#partitions.processed());
    } catch (error) {
      this.#events.emit('commit-failed', { error: asSluiceError(error) });
    }
  }

  async #commitBeforeGivingUp(): Promise<void> {
    if (this.#plan.commit === 'auto') await this.#commitProcessed();
    await this.#commits.idle();
  }

  #commitLater(): void {
    this.#commitTimer = this.#context.ports.clock.setTimer(this.#plan.commitIntervalMs, () => {
      void this.#commitProcessed().then(() => {
        if (!this.#ended) this.#commitLater();
      });
    });
  }

  async #close(): Promise<void> {
    if (this.#ended) return;
    this.#commitTimer?.cancel();
    this.#membership.stop();
    this.#partitions.stop();
    await this.#commitBeforeGivingUp();
    await this.#membership.leave();
    this.#end(undefined);
  }

  #fail(error: SluiceError): void {
    this.#membership.stop();
    void this.#membership.leave();
    this.#end(error);
  }

  #end(error: SluiceError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#commitTimer?.cancel();
    this.#membership.stop();
    this.#partitions.close();
    this.#context.requests.close();
    this.#joined.reject(error ?? new SluiceError('CLOSED', 'the member was closed'));
    this.#over.resolve(undefined);
    this.#context.onClosed(this);
    this.#buffer.wake();
  }

  /** @throws what ended it, once */
  #finish(): { readonly done: true; readonly value: undefined } {
    const error = this.#error;
    this.#error = undefined;
    if (error !== undefined) throw error;
    return { done: true, value: undefined };
  }
}

function positionsOf(what: ReceivedRecord | ReceivedBatch | readonly Position[]): readonly Position[] {
  if (what instanceof ReceivedRecord)
    return [{ topic: what.topic, partition: what.partition, offset: what.offset + 1 }];
  if (what instanceof ReceivedBatch)
    return [{ topic: what.topic, partition: what.partition, offset: what.nextOffset }];
  return what;
}

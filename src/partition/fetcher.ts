import { Backoff } from '../kernel/backoff.ts';
import type { Clock, Timer } from '../kernel/clock.ts';
import type { SluiceError } from '../kernel/errors.ts';
import { asSluiceError } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';
import { ByteBudget } from '../log/byte-budget.ts';
import type { ByteRate } from './byte-rate.ts';
import { FetchPlan } from './fetch-plan.ts';
import type { FollowerOptions } from './follower.ts';
import { Follower } from './follower.ts';
import type { FetchRequest, FetchResponse, ReplicationClient } from './replication.ts';

/** How long a fetcher waits for a leader that cannot be reached. */
const RETRY = { minMs: 50, maxMs: 1000 };
const MAX_OUTSTANDING = 2;
/** A partition may have this share of what is fetched and not durable yet. */
const PARTITION_SHARE = 8;
const MAX_BYTES = 1024 * 1024;
const MAX_WAIT_MS = 500;
const MAX_PENDING_BYTES = 16 * 1024 * 1024;

/** Told how the leader node is to be reached; must not throw. */
export interface FetcherObserver {
  /** Told once, until it is reached again. */
  onUnreachable(leaderId: string, error: SluiceError): void;
  onReached(leaderId: string): void;
}

/** What a fetcher needs. */
export interface FetcherOptions {
  /** The node to fetch from. */
  readonly leaderId: string;
  readonly client: ReplicationClient;
  readonly clock: Clock;
  readonly random: Random;
  /** Bytes of one response; default 1 MiB. */
  readonly maxBytes?: number | undefined;
  /** How long the leader keeps a request while there is nothing new, milliseconds; default 500. */
  readonly maxWaitMs?: number | undefined;
  /**
   * Bytes that were fetched and are not durable yet, above which nothing more is asked for; what the two requests under way then still bring
   * comes on top. Default 16 MiB.
   */
  readonly maxPendingBytes?: number | undefined;
  /** Bounds what partitions that are not in sync fetch; undefined: nothing does. */
  readonly catchUpRate?: ByteRate | undefined;
  readonly observer?: Partial<FetcherObserver> | undefined;
}

/** A partition to follow. */
export type FollowTarget = Pick<
  FollowerOptions,
  'topicId' | 'partition' | 'replica' | 'epoch' | 'isInSync' | 'onComplete' | 'observer'
>;

/** A partition that is followed. */
export interface Following {
  /** Ends it. @returns once nothing is done to the log any more; what was appended may not be durable yet */
  stop(): Promise<void>;
}

interface Session {
  id: number;
  /** Of the next request. */
  sequence: number;
  /** Of the last response that was worked in. */
  received: number;
  outstanding: number;
  /** Resolves when the responses so far have been worked in. */
  responses: Promise<void>;
}

/**
 * Fetches all partitions that this node follows on one other node, in one session.
 *
 *     request 1 ─────────────── parked at the leader ──────> response 1
 *            something became durable: request 2 ──────────> response 2
 *
 * There is always a request at the leader while something is followed; a second one goes when there is something to say, once in a turn.
 * Responses are worked in in the order of their requests.
 */
export class Fetcher {
  readonly #options: FetcherOptions;
  readonly #maxPendingBytes: number;
  readonly #pending: ByteBudget;
  readonly #plan: FetchPlan;
  readonly #backoff: Backoff;
  #session = newSession();
  #isScheduled = false;
  #isUnreachable = false;
  #isClosed = false;
  #retry: Timer | undefined;
  #unthrottle: Timer | undefined;

  constructor(options: FetcherOptions) {
    const { maxPendingBytes = MAX_PENDING_BYTES, catchUpRate, random } = options;
    this.#options = options;
    this.#maxPendingBytes = maxPendingBytes;
    this.#pending = new ByteBudget(maxPendingBytes);
    const partitionPendingBytes = maxPendingBytes / PARTITION_SHARE;
    this.#plan = new FetchPlan({ partitionPendingBytes, catchUpRate });
    this.#backoff = new Backoff(RETRY, random);
  }

  /** Partitions that are followed. */
  get size(): number {
    return this.#plan.size;
  }

  /** Bytes that were fetched and are not durable yet. */
  get pendingBytes(): number {
    return this.#pending.usedBytes;
  }

  /** Begins to follow a partition. @throws TypeError when it is followed already */
  follow(target: FollowTarget): Following {
    const { clock, random } = this.#options;
    const follower = new Follower({
      ...target,
      clock,
      random,
      pending: this.#pending,
      onChange: (changed) => this.#changed(changed),
    });
    this.#plan.add(follower);
    this.#schedule();
    return {
      stop: () => {
        this.#plan.remove(follower);
        this.#schedule();
        return follower.close();
      },
    };
  }

  /** Asks for nothing any more; what is still answered is not looked at. */
  close(): void {
    this.#isClosed = true;
    this.#retry?.cancel();
    this.#unthrottle?.cancel();
  }

  #changed(follower: Follower): void {
    this.#plan.mark(follower);
    this.#schedule();
  }

  /** In a microtask, so that all that has changed in this turn goes in one request. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      if (this.#maySend()) this.#ask();
    });
  }

  #maySend(): boolean {
    const { sequence, outstanding } = this.#session;
    if (this.#isClosed || this.#retry) return false;
    // The id of the session comes with its first response.
    if (outstanding >= (sequence === 1 ? 1 : MAX_OUTSTANDING)) return false;
    return this.#pending.usedBytes < this.#maxPendingBytes;
  }

  #ask(): void {
    const session = this.#session;
    const said = this.#plan.compose(session.sequence);
    this.#armUnthrottle();
    const isSilent = said.changed.length === 0 && said.forgotten.length === 0;
    if (isSilent && (session.outstanding > 0 || this.#plan.namedCount === 0)) return;
    this.#send(session, said);
  }

  #send(session: Session, said: Pick<FetchRequest, 'changed' | 'forgotten'>): void {
    const { client, leaderId, maxBytes = MAX_BYTES, maxWaitMs = MAX_WAIT_MS } = this.#options;
    const { id, sequence, received } = session;
    session.sequence++;
    session.outstanding++;
    const answer = client
      .fetch(leaderId, { sessionId: id, sequence, received, ...said, maxBytes, maxWaitMs })
      .catch((error: unknown) => asSluiceError(error));
    session.responses = session.responses.then(async () => this.#answered(session, sequence, await answer));
  }

  #answered(session: Session, sequence: number, answer: FetchResponse | SluiceError): void {
    session.outstanding--;
    if (this.#isClosed || session !== this.#session) return;
    if (answer instanceof Error) this.#fail(answer);
    else if (answer.error === undefined) this.#take(session, sequence, answer);
    // A leader that knows no session at all is not asked again and again without a rest.
    else if (sequence === 0) this.#pause();
    else this.#restart();
  }

  #take(session: Session, sequence: number, { sessionId, partitions }: FetchResponse): void {
    session.id = sessionId;
    session.received = sequence;
    this.#backoff.reset();
    if (this.#isUnreachable) this.#options.observer?.onReached?.(this.#options.leaderId);
    this.#isUnreachable = false;
    this.#plan.take(sequence, partitions);
    this.#schedule();
  }

  #fail(error: SluiceError): void {
    if (!this.#isUnreachable) this.#options.observer?.onUnreachable?.(this.#options.leaderId, error);
    this.#isUnreachable = true;
    this.#pause();
  }

  #pause(): void {
    this.#retry = this.#options.clock.setTimer(this.#backoff.nextMs(), () => {
      this.#retry = undefined;
      this.#schedule();
    });
    this.#restart();
  }

  #restart(): void {
    this.#session = newSession();
    this.#plan.restart();
    this.#schedule();
  }

  #armUnthrottle(): void {
    const { catchUpRate, clock } = this.#options;
    if (!catchUpRate || !this.#plan.isThrottled || this.#unthrottle) return;
    this.#unthrottle = clock.setTimer(catchUpRate.waitMs, () => {
      this.#unthrottle = undefined;
      this.#plan.unthrottle();
      this.#schedule();
    });
  }
}

function newSession(): Session {
  return { id: 0, sequence: 0, received: -1, outstanding: 0, responses: Promise.resolve() };
}

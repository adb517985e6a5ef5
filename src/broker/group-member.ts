import type { GroupAnswer, GroupQuestionInit } from '../groups/api.ts';
import type { OpenReader } from '../groups/ports.ts';
import { Backoff } from '../kernel/backoff.ts';
import type { Clock, Timer } from '../kernel/clock.ts';
import { asSluiceError, SluiceError } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';
import type { Place } from '../partition/place-table.ts';
import type { PartitionReader } from '../partition/reader.ts';
import type { OneReader } from './broker.ts';
import type { GroupPosition } from './member-commits.ts';
import { MemberCommits } from './member-commits.ts';
import type { Groups } from './groups.ts';
import type { OwnedPartitionHost } from './owned-partition.ts';
import { OwnedPartition } from './owned-partition.ts';
import type { Principal } from './ports.ts';

/** The broker as a member of a group needs it. */
export interface MemberBroker {
  readonly groups: Pick<Groups, 'ask'>;
  openReader(principal: Principal, reader: OneReader): Promise<OpenReader>;
}

/** What a member is made of. */
export interface GroupMemberParts {
  readonly broker: MemberBroker;
  readonly principal: Principal;
  readonly clock: Clock;
  readonly random: Random;
  readonly listener: GroupMemberListener;
}

/** What somebody joins, and as whom. */
export interface GroupMemberOptions {
  readonly group: string;
  /** Topics, or wildcards over topics. */
  readonly filters: readonly string[];
  /** Where a partition begins for which the group has committed nothing. */
  readonly start: NonNullable<GroupQuestionInit<'joinGroup'>['start']>;
  /** For people. */
  readonly clientId: string;
  /** Static membership; empty: none. */
  readonly instanceId?: string | undefined;
  /** Milliseconds, 1 s to 30 minutes. Default 10 s. */
  readonly sessionTimeoutMs?: number | undefined;
}

/** Whom a member works for. Nothing may throw. */
export interface GroupMemberListener {
  /** A partition is the member's: its reader begins where the group has come to. The member closes it. */
  assigned(reader: PartitionReader): void;
  /**
   * A partition is the member's no more, and its reader is closed after this call. What is committed in it still counts, unless the member
   * was put out of its group.
   */
  revoked(place: Place): void;
  /** Nothing goes on: what the member was refused with. All its partitions were revoked before. */
  ended(error: SluiceError): void;
}

const SESSION_TIMEOUT_MS = 10_000;
/** Between attempts to reach a coordinator. */
const RETRY = { minMs: 50, maxMs: 2_000 };
/** How long closing waits for the coordinator; the session timeout does the rest. */
const FAREWELL_MS = 2_000;

/**
 * A member of a consumer group that lives in this process, for gateways whose clients cannot be one themselves.
 *
 *     join ── assigned, generation ──> what is lost: revoked, committed, closed ── what is new: opened ──┐
 *       └────────────────────── asked again with what is owned now; that is the heartbeat ──────────────┘
 *
 * It owns a partition from the answer on, so that a partition that takes long to open does not stop the heartbeat. A coordinator that cannot be
 * reached is asked again while the partitions go on, for as long as the session timeout: then others may have them, and the member reads nothing
 * until it is answered. One that its group does not know any more gives up all and joins anew.
 */
export class GroupMember {
  readonly #parts: GroupMemberParts;
  readonly #options: GroupMemberOptions;
  readonly #memberId: string;
  readonly #sessionTimeoutMs: number;
  readonly #abort = new AbortController();
  readonly #owned = new Map<string, OwnedPartition>();
  readonly #commits: MemberCommits;
  readonly #partitionHost: OwnedPartitionHost;
  readonly #waits = new Set<() => void>();
  #generation = 0;
  #sessionEnd: Timer | undefined;
  /** Nothing was heard for so long that others may have its partitions. */
  #isSilent = false;
  #isOver = false;
  #running: Promise<void> = Promise.resolve();
  readonly #joined = Promise.withResolvers<undefined>();

  private constructor(parts: GroupMemberParts, options: GroupMemberOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#memberId = parts.random.uuid();
    this.#sessionTimeoutMs = options.sessionTimeoutMs ?? SESSION_TIMEOUT_MS;
    this.#commits = new MemberCommits({
      ...parts,
      generation: () => this.#generation,
      store: (offsets, generation) => this.#store(offsets, generation),
    });
    const { broker, principal, clock, random, listener } = parts;
    this.#partitionHost = {
      ...{ clock, random },
      openReader: ({ topic, partition }, start) =>
        broker.openReader(principal, { topic, partition, start, name: options.group }),
      opened: (reader) => listener.assigned(reader),
      failed: (error) => this.#fail(error),
    };
    // Not everybody waits for it.
    this.#joined.promise.catch(() => undefined);
  }

  /** Joins a group and stays in it until it is closed or refused. */
  static join(parts: GroupMemberParts, options: GroupMemberOptions): GroupMember {
    const member = new GroupMember(parts, options);
    member.#running = member.#run();
    return member;
  }

  /** Resolves when the group has taken it for the first time. Rejects with what it was refused with before that; CLOSED. */
  get joined(): Promise<void> {
    return this.#joined.promise;
  }

  /** Partitions that it has now. */
  get assignment(): readonly Place[] {
    return [...this.#owned.values()].map(({ topic, partition }) => ({ topic, partition }));
  }

  /**
   * Resolves when the offsets are stored; each is the first that is not done.
   * @throws STALE_GENERATION when a partition is the member's no more, UNKNOWN_MEMBER, CLOSED, FORBIDDEN …
   */
  commit(offsets: Iterable<GroupPosition>): Promise<void> {
    return this.#commits.commit(offsets);
  }

  /** Closes its readers, stores what was committed and leaves the group. The listener hears no more. Idempotent. */
  async close(): Promise<void> {
    if (this.#isOver) return;
    this.#end(new SluiceError('CLOSED', 'the member was closed before it was in its group'));
    for (const owned of this.#owned.values()) owned.close();
    await this.#running;
    this.#owned.clear();
    await this.#within(FAREWELL_MS, this.#commits.settled());
    this.#commits.discard(new SluiceError('CLOSED', 'the member has left its group'), true);
    const { group, instanceId = '' } = this.#options;
    const leaving = { group, memberId: this.#memberId, returning: instanceId !== '' };
    const { broker, principal } = this.#parts;
    await this.#within(FAREWELL_MS, broker.groups.ask(principal, 'leaveGroup', leaving));
  }

  async #run(): Promise<void> {
    const { clock, random } = this.#parts;
    const backoff = new Backoff(RETRY, random);
    while (!this.#isOver) {
      // Who joins wants to know whether it may, and who was silent what it has.
      const maxWaitMs = this.#generation === 0 || this.#isSilent ? 0 : Math.floor(this.#sessionTimeoutMs / 3);
      const askedMs = clock.monotonicMs();
      try {
        const answer = await this.#join(maxWaitMs);
        // One that has lain here while the process was stopped says nothing of now: it was given when its wait was over.
        if (this.#hear(Math.min(clock.monotonicMs(), askedMs + maxWaitMs))) await this.#take(answer);
        backoff.reset();
      } catch (error) {
        await this.#refused(asSluiceError(error), backoff);
      }
    }
  }

  #join(maxWaitMs: number): Promise<GroupAnswer<'joinGroup'>> {
    const { group, filters, start, clientId, instanceId = '' } = this.#options;
    const { broker, principal } = this.#parts;
    const question: GroupQuestionInit<'joinGroup'> = {
      ...{ group, filters: [...filters], start, clientId, instanceId },
      memberId: this.#memberId,
      generation: this.#generation,
      owned: [...this.assignment],
      sessionTimeoutMs: this.#sessionTimeoutMs,
      maxWaitMs,
    };
    return broker.groups.ask(principal, 'joinGroup', question, { signal: this.#abort.signal });
  }

  /** It was known as a member at `heardMs`. @returns whether it still is: its session has not ended since */
  #hear(heardMs: number): boolean {
    if (this.#isOver) return false;
    this.#sessionEnd?.cancel();
    const leftMs = heardMs + this.#sessionTimeoutMs - this.#parts.clock.monotonicMs();
    this.#isSilent = leftMs <= 0;
    if (this.#isSilent) this.#revokeAll();
    else this.#sessionEnd = this.#parts.clock.setTimer(leftMs, () => this.#fallSilent());
    return !this.#isSilent;
  }

  /** What was committed may still count: the coordinator knows whether others were given the partitions. */
  #fallSilent(): void {
    this.#isSilent = true;
    this.#revokeAll();
  }

  async #take({ generation, assigned }: GroupAnswer<'joinGroup'>): Promise<void> {
    this.#generation = generation;
    this.#joined.resolve(undefined);
    const wanted = new Map(
      assigned.map(({ topic, partition, offset }) => [
        `${topic}/${partition}`,
        { topic, partition, offset: Number(offset) },
      ]),
    );
    const lost = [...this.#owned].filter(([key]) => !wanted.has(key));
    for (const [, owned] of lost) this.#revoke(owned);
    // As long as the member is said to own them its commits count.
    if (lost.length > 0) await this.#wait(this.#sessionTimeoutMs / 3, this.#commits.settled());
    for (const [key] of lost) this.#owned.delete(key);
    if (this.#isOver || this.#isSilent) return;
    for (const [key, position] of wanted) {
      if (this.#owned.has(key)) continue;
      const owned = new OwnedPartition(this.#partitionHost, position);
      this.#owned.set(key, owned);
      owned.start();
    }
  }

  async #refused(error: SluiceError, backoff: Backoff): Promise<void> {
    if (this.#isOver) return;
    const { instanceId = '' } = this.#options;
    // Of a static member that was heard of lately somebody else has taken the place: joining again would throw that one out in turn.
    if (error.code === 'UNKNOWN_MEMBER' && (instanceId === '' || this.#isSilent)) this.#lose(error);
    else if (!error.retryable || error.code === 'DRAINING') {
      this.#fail(error);
      return;
    }
    await this.#wait(backoff.nextMs());
  }

  /** The group goes on without this member, which begins again. */
  #lose(error: SluiceError): void {
    this.#generation = 0;
    this.#revokeAll();
    this.#commits.discard(error, false);
  }

  #fail(error: SluiceError): void {
    if (this.#isOver) return;
    this.#end(error);
    this.#lose(error);
    this.#commits.discard(error, true);
    this.#parts.listener.ended(error);
  }

  /** Asks no more. @param error for who waits to be taken into the group */
  #end(error: SluiceError): void {
    this.#isOver = true;
    this.#joined.reject(error);
    this.#abort.abort();
    this.#sessionEnd?.cancel();
    for (const wake of this.#waits) wake();
  }

  #revokeAll(): void {
    for (const owned of this.#owned.values()) this.#revoke(owned);
    this.#owned.clear();
  }

  #revoke(owned: OwnedPartition): void {
    const { topic, partition, isOpen } = owned;
    if (isOpen) this.#parts.listener.revoked({ topic, partition });
    owned.close();
  }

  #store(offsets: readonly GroupPosition[], generation: number): Promise<GroupAnswer<'commitOffsets'>> {
    const { broker, principal } = this.#parts;
    return broker.groups.ask(principal, 'commitOffsets', {
      group: this.#options.group,
      memberId: this.#memberId,
      generation,
      offsets: offsets.map(({ topic, partition, offset }) => ({ topic, partition, offset: BigInt(offset) })),
    });
  }

  /** Ends early when the member does, or what it waits for, well or not. */
  #wait(ms: number, work?: Promise<unknown>): Promise<void> {
    if (this.#isOver) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waits.delete(wake);
        timer.cancel();
        resolve();
      };
      const timer = this.#parts.clock.setTimer(ms, wake);
      this.#waits.add(wake);
      work?.then(wake, wake);
    });
  }

  /** Waits for something that may as well fail, but not for long. */
  #within(ms: number, work: Promise<unknown>): Promise<void> {
    return new Promise((resolve) => {
      const timer: Timer = this.#parts.clock.setTimer(ms, resolve);
      const done = (): void => {
        timer.cancel();
        resolve();
      };
      work.then(done, done);
    });
  }
}

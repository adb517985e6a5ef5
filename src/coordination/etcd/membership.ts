import type { ICompare } from 'etcd3';
import { EtcdLeaseInvalidError } from 'etcd3';
import type { Timer } from '../../kernel/clock.ts';
import { delay } from '../../kernel/clock.ts';
import { SluiceError, asSluiceError } from '../../kernel/errors.ts';
import type { NodeDescription } from '../cluster.ts';
import type { Unwatch } from '../unwatch.ts';
import { etcdError, isPassing } from './etcd-error.ts';
import type { EtcdStore } from './store.ts';
import { get, leasedBy, put, unchanged } from './store.ts';
import { encodeValue } from './values.ts';
import type { View } from './view.ts';

/** A lease counts as over a little before etcd can think so: for clocks that do not run equally fast. */
const MARGIN = 0.05;
/** Renewals asked for within the time of a lease. */
const RENEWALS = 6;
const RETRY_MS = 100;

/** Reason of a loss: no renewal was answered for as long as the lease lasts. All other reasons are what etcd or an administrator did. */
export const NOT_RENEWED = 'it could not be renewed in time';

/** What a membership is made of. */
export interface MembershipOptions {
  readonly store: EtcdStore;
  readonly view: View;
  readonly nodeId: string;
  /** Key of this node. */
  readonly key: string;
  /** Whole seconds. */
  readonly ttlSeconds: number;
  readonly description: NodeDescription;
}

/**
 * This node's place in the cluster: a leased key, renewed for as long as the node lives.
 *
 *     joining ──key written──> held ──not renewed in time, or etcd says it is over──> lost ──> joining …
 *
 * `etcd3` keeps leases alive too, but counts by the wall clock, from when an answer comes instead of from when it was asked for, and tells of
 * a loss up to twice the lease's time after it (docs/adr/0007). So only its calls are used, one by one.
 */
export class Membership implements AsyncDisposable {
  readonly #options: MembershipOptions;
  readonly #lost = new Set<(reason: string) => void>();
  readonly #gained = new Set<() => void>();
  readonly #unwatch: Unwatch;
  #description: NodeDescription;
  /** Id of the lease. */
  #session: string | undefined;
  /** What may still be alive in etcd. */
  #former: string | undefined;
  #validUntilMs = -Infinity;
  /** When the last renewal that was answered was asked for. */
  #renewedMs = -Infinity;
  #expiry: Timer | undefined;
  #renewal: Timer | undefined;
  #joining: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#description = options.description;
    const { view, nodeId } = options;
    // An administrator who deletes the key, or another node of this name, ends the membership.
    this.#unwatch = view.nodes.watch((change) => {
      const isOurs = change.id === nodeId && change.previous?.value.session === this.#session;
      const isOver = change.kind === 'deleted' || change.entry.value.session !== this.#session;
      if (this.#session && isOurs && isOver) this.#lose('its key in etcd was deleted or replaced');
    });
  }

  /** Whether this node is a member; by its own clock, so that a node that was frozen knows at once. */
  get isHeld(): boolean {
    return this.#session !== undefined && this.#options.store.clock.monotonicMs() < this.#validUntilMs;
  }

  /** Id of the membership. @throws UNAVAILABLE when there is none */
  session(): string {
    if (this.#session && this.isHeld) return this.#session;
    throw new SluiceError(
      'UNAVAILABLE',
      `node ${this.#options.nodeId} is no member of the cluster at the moment: its lease in etcd is over; it joins again by itself`,
    );
  }

  /** Holds in etcd while this node is a member. @throws UNAVAILABLE when it is not, as far as it knows */
  fence(): ICompare {
    return leasedBy(this.#options.key, this.session());
  }

  onLost(listener: (reason: string) => void): Unwatch {
    this.#lost.add(listener);
    return () => void this.#lost.delete(listener);
  }

  onGained(listener: () => void): Unwatch {
    this.#gained.add(listener);
    return () => void this.#gained.delete(listener);
  }

  /**
   * Becomes a member for the first time. Where the name is taken it waits until the lease of a predecessor must be over.
   * @returns the revision of it
   * @throws INVALID_CONFIG when another node of this name is alive; what keeps etcd from being used
   */
  async join(): Promise<number> {
    const { store, ttlSeconds, nodeId } = this.#options;
    const deadline = store.clock.monotonicMs() + 2000 * ttlSeconds + store.times.callMs;
    for (;;) {
      const revision = await store.persist(() => this.#tryJoin());
      if (revision !== undefined) return revision;
      if (store.clock.monotonicMs() > deadline) {
        throw new SluiceError(
          'INVALID_CONFIG',
          `another node named ${nodeId} is a member of the cluster: give each node its own name (node.id)`,
        );
      }
      await delay(store.clock, RETRY_MS);
    }
  }

  /** Changes what this node says of itself. @returns the revision of the change */
  async announce(change: Partial<NodeDescription>): Promise<number> {
    const { store } = this.#options;
    this.#description = { ...this.#description, ...change };
    return store.persist(async () => {
      const { succeeded, revision } = await store.transact([this.fence()], [this.#put(this.session())]);
      if (!succeeded) throw new SluiceError('UNAVAILABLE', 'the lease of this node is over');
      return revision;
    });
  }

  /** Leaves: the lease ends now and not when its time is over, if etcd can be told within a moment. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#unwatch();
    this.#lost.clear();
    this.#gained.clear();
    this.#clearTimers();
    const leaseId = this.#session ?? this.#former;
    this.#session = undefined;
    await this.#joining;
    if (leaseId !== undefined) await this.#options.store.revoke(leaseId).catch(() => undefined);
  }

  /** @returns undefined when another has the name, or what was written is no longer what this node says of itself */
  async #tryJoin(): Promise<number | undefined> {
    const { store, key, ttlSeconds } = this.#options;
    if (this.#former !== undefined) await this.#revokeFormer(this.#former);
    // Asked first, so that no lease is made in vain again and again.
    if (await store.read(key)) return undefined;
    const askedMs = store.clock.monotonicMs();
    const id = await store.grant(ttlSeconds);
    this.#former = id;
    const description = this.#description;
    const { succeeded, found, revision } = await store.transact(
      [unchanged(key, 0)],
      [this.#put(id)],
      [get(key)],
    );
    if (!succeeded && found[0]?.[0]?.lease !== id) return undefined;
    if (this.#isClosed) return revision;
    // Announced while it was on its way, which only who holds a lease can write: so it is written with the next one.
    if (this.#description !== description) return undefined;
    this.#session = id;
    this.#extend(askedMs);
    this.#armRenewal(id);
    for (const listener of [...this.#gained]) listener();
    return revision;
  }

  async #revokeFormer(leaseId: string): Promise<void> {
    try {
      await this.#options.store.revoke(leaseId);
    } catch (error) {
      // It is over already.
      if (!((error as Error).cause instanceof EtcdLeaseInvalidError)) throw error;
    }
    this.#former = undefined;
  }

  #put(leaseId: string): ReturnType<typeof put> {
    return put(this.#options.key, encodeValue({ ...this.#description, session: leaseId }), leaseId);
  }

  /** @param askedMs when the renewal was asked for: etcd counts from later on */
  #extend(askedMs: number): void {
    const { store, ttlSeconds } = this.#options;
    const untilMs = askedMs + 1000 * ttlSeconds * (1 - MARGIN);
    if (untilMs <= this.#validUntilMs) return;
    this.#validUntilMs = untilMs;
    this.#renewedMs = askedMs;
    this.#expiry?.cancel();
    const leftMs = Math.max(0, untilMs - store.clock.monotonicMs());
    this.#expiry = store.clock.setTimer(leftMs, () => this.#lose(NOT_RENEWED));
  }

  /**
   * Asks for renewal again and again without waiting for the answers, and more often while none comes: the member of etcd that was asked may be
   * the one that is gone, and what is asked while etcd elects a leader (1 to 2 s) is never answered.
   */
  #armRenewal(session: string): void {
    const { store, ttlSeconds } = this.#options;
    const periodMs = (1000 * ttlSeconds) / RENEWALS;
    const isOverdue = store.clock.monotonicMs() > this.#renewedMs + 1.5 * periodMs;
    this.#renewal = store.clock.setTimer(isOverdue ? RETRY_MS : periodMs, () => {
      this.#armRenewal(session);
      void this.#renew(session);
    });
  }

  async #renew(session: string): Promise<void> {
    const { store, ttlSeconds } = this.#options;
    const askedMs = store.clock.monotonicMs();
    const answer = await store.renew(session, (1000 * ttlSeconds) / 2);
    if (this.#session !== session) return;
    if (!this.isHeld) this.#lose(NOT_RENEWED);
    else if (answer === 'over') this.#lose('etcd says that it is over');
    else if (answer === 'renewed') this.#extend(askedMs);
  }

  #lose(reason: string): void {
    if (!this.#session) return;
    this.#former = this.#session;
    this.#session = undefined;
    this.#validUntilMs = -Infinity;
    this.#clearTimers();
    for (const listener of [...this.#lost]) listener(reason);
    this.#joining ??= this.#rejoin().finally(() => (this.#joining = undefined));
  }

  async #rejoin(): Promise<void> {
    const { store } = this.#options;
    while (!this.#isClosed && !store.isClosed) {
      const joined = await this.#tryJoin().catch((error: unknown) => etcdError(error));
      if (typeof joined === 'number') return;
      // A refusal that does not pass by itself is tried again all the same: somebody may repair it.
      const isSlow = joined instanceof SluiceError && !isPassing(asSluiceError(joined));
      await delay(store.clock, isSlow ? 10 * RETRY_MS : RETRY_MS);
    }
  }

  #clearTimers(): void {
    this.#expiry?.cancel();
    this.#renewal?.cancel();
  }
}

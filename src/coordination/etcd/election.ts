import type { ICompare } from 'etcd3';
import type { Timer } from '../../kernel/clock.ts';
import { delay } from '../../kernel/clock.ts';
import type { Campaign, Candidate } from '../cluster.ts';
import type { Unwatch } from '../unwatch.ts';
import type { ViewFeed } from './feed.ts';
import type { Membership } from './membership.ts';
import type { EtcdStore } from './store.ts';
import { created, leasedBy, put, remove, unchanged } from './store.ts';
import { encodeValue } from './values.ts';
import type { View } from './view.ts';

const RETRY_MS = 250;
const RESIGN_RETRY_MS = 50;

/** What an election is made of. */
export interface ElectionOptions {
  readonly store: EtcdStore;
  readonly view: View;
  readonly feed: ViewFeed;
  readonly membership: Membership;
  readonly nodeId: string;
  /** Key of the controller. */
  readonly key: string;
  /** Told when a candidacy is over, so that there can be another. */
  readonly ended: () => void;
}

/**
 * A candidacy for controller: whoever creates the one key is elected, until the key goes.
 *
 * The key is leased by the lease of the membership, so a node that is no member any more is no controller either, and knows both at the same
 * moment. `etcd3`'s Election has a lease of its own, and that one's weaknesses (docs/adr/0007).
 */
export class Candidacy implements Campaign {
  readonly #options: ElectionOptions;
  readonly #candidate: Candidate;
  readonly #watches: readonly Unwatch[];
  #term: number | undefined;
  #isTrying = false;
  #retry: Timer | undefined;
  #resigned: Promise<void> | undefined;

  constructor(options: ElectionOptions, candidate: Candidate) {
    this.#options = options;
    this.#candidate = candidate;
    const { view, membership } = options;
    this.#watches = [
      view.controller.watch(() => this.#look()),
      membership.onLost(() => this.#lose()),
      membership.onGained(() => this.#look()),
    ];
    queueMicrotask(() => this.#look());
  }

  get term(): number | undefined {
    return this.#options.membership.isHeld ? this.#term : undefined;
  }

  resign(): Promise<void> {
    this.#resigned ??= this.#resign();
    return this.#resigned;
  }

  /** Ends the candidacy without a word to etcd. */
  abandon(): void {
    this.#resigned ??= Promise.resolve();
    this.#end();
  }

  /** Compares what is with what this node is told. */
  #look(): void {
    const { view, membership } = this.#options;
    if (this.#resigned || !membership.isHeld) return;
    const entry = view.controller.get('');
    const isOurs = entry?.value.session === membership.session();
    if (this.#term !== undefined && (!isOurs || entry.createRevision !== this.#term)) this.#lose();
    if (entry && isOurs && this.#term === undefined) {
      this.#term = entry.createRevision;
      this.#candidate.onElected(entry.createRevision);
    }
    if (!entry) this.#try();
  }

  #try(): void {
    if (this.#isTrying) return;
    this.#isTrying = true;
    this.#create()
      .catch(() => this.#later())
      .finally(() => {
        this.#isTrying = false;
        // What happened meanwhile was not acted upon.
        if (this.#retry === undefined) this.#look();
      });
  }

  async #create(): Promise<void> {
    const { store, feed, membership, key, nodeId } = this.#options;
    const session = membership.session();
    const value = encodeValue({ nodeId, session });
    const { succeeded, revision } = await store.transact(
      [unchanged(key, 0), membership.fence()],
      [put(key, value, session)],
    );
    if (succeeded) await feed.seen(revision);
    else this.#later();
  }

  #later(): void {
    this.#retry ??= this.#options.store.clock.setTimer(RETRY_MS, () => {
      this.#retry = undefined;
      this.#look();
    });
  }

  #lose(): void {
    if (this.#term === undefined || this.#resigned) return;
    this.#term = undefined;
    this.#candidate.onLost();
  }

  #end(): void {
    this.#term = undefined;
    this.#retry?.cancel();
    for (const unwatch of this.#watches) unwatch();
    this.#options.ended();
  }

  async #resign(): Promise<void> {
    const { store, membership } = this.#options;
    // Not `#end()` yet: a new candidacy of this node must not find the old key.
    this.#term = undefined;
    this.#retry?.cancel();
    try {
      while (membership.isHeld && !store.isClosed) {
        const session = membership.session();
        // An attempt that is under way may still create the key.
        if (!this.#isTrying && (await this.#removeKey(session))) break;
        await delay(store.clock, RESIGN_RETRY_MS);
      }
    } finally {
      this.#end();
    }
  }

  /** @returns whether etcd has answered */
  async #removeKey(session: string): Promise<boolean> {
    const { store, feed, key } = this.#options;
    try {
      const { succeeded, revision } = await store.transact([leasedBy(key, session)], [remove(key)]);
      if (succeeded) await feed.seen(revision);
      return true;
    } catch {
      return false;
    }
  }
}

/** Holds in etcd while the controller is that of `term`. */
export function controllerFence(key: string, term: number): ICompare {
  return created(key, term);
}

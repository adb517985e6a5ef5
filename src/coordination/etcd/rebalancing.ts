import { SluiceError } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import type { Rebalancing } from '../cluster.ts';
import type { Unwatch } from '../unwatch.ts';
import { controllerFence } from './election.ts';
import type { ViewFeed } from './feed.ts';
import type { Keys } from './keys.ts';
import type { Membership } from './membership.ts';
import type { EtcdStore } from './store.ts';
import { put, remove, unchanged } from './store.ts';
import { encodeValue } from './values.ts';
import type { View } from './view.ts';

/** What a request for a rebalance is made of. */
export interface EtcdRebalancingOptions {
  readonly store: EtcdStore;
  readonly view: View;
  readonly feed: ViewFeed;
  readonly keys: Keys;
  readonly membership: Membership;
  readonly nodeId: string;
  readonly random: Random;
}

/** A rebalance is asked for by a key that is there, and done when that is gone. */
export class EtcdRebalancing implements Rebalancing {
  readonly #options: EtcdRebalancingOptions;

  constructor(options: EtcdRebalancingOptions) {
    this.#options = options;
  }

  get isRequested(): boolean {
    return this.#options.view.rebalance.get('') !== undefined;
  }

  async request(): Promise<void> {
    const { store, keys, membership, nodeId, random, feed } = this.#options;
    const value = encodeValue({ by: nodeId, change: random.uuid() });
    const revision = await store.persist(async () => {
      const outcome = await store.transact([membership.fence()], [put(keys.single('rebalance'), value)]);
      if (!outcome.succeeded) throw new SluiceError('UNAVAILABLE', 'the lease of this node is over');
      return outcome.revision;
    });
    await feed.seen(revision);
  }

  async finish(controllerTerm: number): Promise<boolean> {
    const { store, keys, view, membership, feed } = this.#options;
    const entry = view.rebalance.get('');
    if (!entry) return false;
    const key = keys.single('rebalance');
    const { succeeded, revision } = await store.persist(() =>
      store.transact(
        [
          unchanged(key, entry.modRevision),
          membership.fence(),
          controllerFence(keys.single('controller'), controllerTerm),
        ],
        [remove(key)],
      ),
    );
    if (succeeded) await feed.seen(revision);
    return succeeded;
  }

  watch(listener: () => void): Unwatch {
    return this.#options.view.rebalance.watch(() => listener());
  }
}

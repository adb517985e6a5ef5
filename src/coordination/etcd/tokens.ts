import type { TokenRecord, TokenStore } from '../../security/token.ts';
import type { ViewFeed } from './feed.ts';
import type { Keys } from './keys.ts';
import type { EtcdStore } from './store.ts';
import { put, remove } from './store.ts';
import { encodeValue } from './values.ts';
import type { View } from './view.ts';

/** Token records of the cluster; who writes last wins. */
export function etcdTokens(store: EtcdStore, view: View, feed: ViewFeed, keys: Keys): TokenStore {
  return {
    list: () => [...view.tokens.entries()].map(([, { value }]) => value),
    get: (id) => view.tokens.get(id)?.value,
    put: async (token: TokenRecord) => {
      const key = keys.of('tokens', token.id);
      const { revision } = await store.persist(() => store.transact([], [put(key, encodeValue(token))]));
      await feed.seen(revision);
    },
    delete: async (id) => {
      const isKnown = view.tokens.get(id) !== undefined;
      let attempts = 0;
      const { deleted, revision } = await store.persist(() => {
        attempts++;
        return store.transact([], [remove(keys.of('tokens', id))]);
      });
      if (deleted > 0) await feed.seen(revision);
      return deleted > 0 || (isKnown && attempts > 1);
    },
  };
}

import { SluiceError } from '../../kernel/errors.ts';
import type { EtcdStore } from './store.ts';
import { get, put, unchanged } from './store.ts';
import { decodeValue, encodeValue, producerIdsSchema } from './values.ts';

/** Ids set aside with one write. */
const BLOCK = 1000;

/** Producer ids: blocks of them are taken from etcd and given out one by one. What is left of a block at a stop is lost, which costs nothing. */
export class EtcdProducerIds {
  readonly #store: EtcdStore;
  readonly #key: string;
  #next = 1;
  #ceiling = 1;
  #taking: Promise<void> | undefined;

  constructor(store: EtcdStore, key: string) {
    this.#store = store;
    this.#key = key;
  }

  async allocate(): Promise<number> {
    if (this.#store.isClosed) throw new SluiceError('UNAVAILABLE', 'the coordinator is closed');
    while (this.#next >= this.#ceiling) {
      this.#taking ??= this.#take().finally(() => (this.#taking = undefined));
      await this.#taking;
    }
    return this.#next++;
  }

  async #take(): Promise<void> {
    let revision = 0;
    let first = 1;
    for (;;) {
      const outcome = await this.#store.persist(() =>
        this.#store.transact(
          [unchanged(this.#key, revision)],
          [put(this.#key, encodeValue({ ceiling: first + BLOCK }))],
          [get(this.#key)],
        ),
      );
      if (outcome.succeeded) {
        this.#next = first;
        this.#ceiling = first + BLOCK;
        return;
      }
      const keyValue = outcome.found[0]?.[0];
      revision = Number(keyValue?.mod_revision ?? 0);
      if (!keyValue) continue;
      const decoded = decodeValue(producerIdsSchema, keyValue.value);
      // Going on from 1 would give out ids again.
      if (!('value' in decoded)) {
        throw new SluiceError(
          'STORAGE_FAILED',
          `${this.#key} in etcd is unreadable (${decoded.fault}); restore it`,
        );
      }
      first = decoded.value.ceiling;
    }
  }
}

import type { Random } from '../../kernel/random.ts';
import { SluiceError } from '../../kernel/errors.ts';
import { newProducerKey } from '../producer-key.ts';
import type { EtcdStore } from './store.ts';
import { get, put, unchanged } from './store.ts';
import type { ClusterValue } from './values.ts';
import { clusterSchema, decodeValue, encodeValue } from './values.ts';

/** What a cluster has been given once, by the first node that came. */
export interface ClusterIdentity {
  readonly id: string;
  readonly producerKey: Buffer;
}

/**
 * Reads who the cluster is; writes what is missing, in one transaction, so that all nodes get the same.
 * @throws STORAGE_FAILED when it cannot be read; UNAVAILABLE and the like from etcd
 */
export async function openClusterIdentity(
  store: EtcdStore,
  key: string,
  random: Random,
): Promise<ClusterIdentity> {
  const producerKey = newProducerKey(random);
  let wanted: ClusterValue = { id: random.uuid(), producerKey };
  let revision = 0;
  for (;;) {
    const { succeeded, found } = await store.persist(() =>
      store.transact([unchanged(key, revision)], [put(key, encodeValue(wanted))], [get(key)]),
    );
    if (succeeded) return { id: wanted.id, producerKey: Buffer.from(producerKey, 'hex') };
    const keyValue = found[0]?.[0];
    revision = Number(keyValue?.mod_revision ?? 0);
    if (!keyValue) continue;
    const decoded = decodeValue(clusterSchema, keyValue.value);
    if (!('value' in decoded)) {
      throw new SluiceError('STORAGE_FAILED', `${key} in etcd is unreadable (${decoded.fault}); restore it`);
    }
    const { value } = decoded;
    if (value.producerKey !== undefined) {
      return { id: value.id, producerKey: Buffer.from(value.producerKey, 'hex') };
    }
    // A cluster from before there were such keys.
    wanted = { ...value, producerKey };
  }
}

import type { OpenReader } from '../../groups/ports.ts';
import type { Clock } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { Asker } from '../../kernel/slots.ts';
import type { PartitionReader } from '../../partition/reader.ts';
import type { Subscriber } from '../ports.ts';
import type { Subscription } from './subscriptions.ts';

/** How long a partition may have nobody it can be read from. */
const WAIT_MS = 5000;

/**
 * Takes the one reader of a subscription to one partition, for who reads it in this process.
 * @param name shown in `listSubscriptions`
 * @param asker who waits for it
 * @throws what `subscribe` throws; NOT_LEADER when the partition cannot be read anywhere within five seconds
 */
export async function openOnePartition(
  subscribe: (subscriber: Subscriber) => Promise<Subscription>,
  clock: Clock,
  name: string,
  asker?: Asker,
): Promise<OpenReader> {
  const { promise, resolve, reject } = Promise.withResolvers<PartitionReader>();
  const subscription = await subscribe({
    ...{ connection: 'local', clientId: '', subscriptionId: 0, name, delivery: 'ordered', paused: false },
    ...{ blockedMs: () => 0, asker },
    takePartition: resolve,
  });
  const timer = clock.setTimer(WAIT_MS, () =>
    reject(new SluiceError('NOT_LEADER', `${subscription.filter} can be read nowhere at the moment`)),
  );
  try {
    return { reader: await promise, close: () => subscription.close() };
  } catch (error) {
    subscription.close();
    throw error;
  } finally {
    timer.cancel();
  }
}

import { connect } from '../../src/client/index.ts';
import type { Adapter, BenchSubscription } from './adapter.ts';

/** Sluice through its SDK: one producer and any number of subscriptions on one connection. */
export const sluice: Adapter = {
  async connect(server, options) {
    const client = await connect(`quic://${server.host}:${server.port}`, { ca: server.caFile });
    const producer = client.producer({ compression: options.compression ?? 'none' });
    return {
      async subscribe(topic, onValue): Promise<BenchSubscription> {
        const subscription = await client.subscribe(topic, { delivery: options.delivery ?? 'ordered' });
        void (async () => {
          for await (const batch of subscription.batches()) {
            batch.forEach((record) => onValue(record.value!));
          }
        })();
        return { stall: () => subscription.pause(), resume: () => subscription.resume() };
      },
      publish: (topic, value) => producer.offer({ topic, value }),
      ready: () => producer.ready(),
      flush: () => producer.flush(),
      close: () => client.close(),
    };
  },
};

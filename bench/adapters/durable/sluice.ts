import { connect } from '../../../src/client/index.ts';
import type { DurableAdapter } from './adapter.ts';

/** Sluice through its SDK: a topic on disk with one partition, synced before the answer or every second. */
export const sluice: DurableAdapter = {
  async connect({ system, host, port, caFile }) {
    const client = await connect(`quic://${host}:${port}`, { ca: caFile! });
    const producer = client.producer();
    const flush = system === 'sluice-always' ? 'always' : 'interval';
    return {
      async create(name) {
        // No bound, as the others have none.
        await client.admin.createTopic({ name, settings: { storage: 'disk', flush, retentionBytes: 0 } });
      },
      publish: (topic, value) => producer.send({ topic, value }),
      async consume(name, records, onRecord) {
        await using subscription = await client.subscribe(name, { from: 'earliest' });
        let got = 0;
        for await (const batch of subscription.batches()) {
          batch.forEach((record) => {
            got += 1;
            onRecord(record.value!);
          });
          if (got >= records) break;
        }
      },
      close: () => client.close(),
    };
  },
};

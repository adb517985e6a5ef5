import { connect } from '../../../src/client/index.ts';
import type { DurableAdapter } from './adapter.ts';

/** Records leased ahead of the acknowledgements: as many as the others may send. */
const CREDIT = 1_000;

/**
 * Sluice through its SDK: a topic with one partition, on disk synced before the answer or every second, or in memory; consumed as a
 * queue with an acknowledgement each.
 */
export const sluice: DurableAdapter = {
  async connect({ system, host, port, caFile, batchBytes }) {
    const client = await connect(`quic://${host}:${port}`, { ca: caFile! });
    const producer = client.producer(batchBytes === undefined ? {} : { batchBytes });
    const flush = system === 'sluice-always' ? 'always' : 'interval';
    return {
      async create(name, storage) {
        // No bound that counts, as the others have none.
        const kept =
          storage === 'disk'
            ? ({ storage, flush, retentionBytes: 0 } as const)
            : ({ storage, retentionBytes: 1024 ** 3 } as const);
        await client.admin.createTopic({ name, settings: kept });
      },
      publish: (topic, value) => producer.send({ topic, value }),
      async consume(name, records, onRecord) {
        await using queue = client.queue(name, { credit: CREDIT });
        const unsettled = new Promise<never>((_resolve, reject) => {
          queue.on('unsettled', ({ error }) => reject(error));
        });
        unsettled.catch(() => undefined);
        let last: Promise<void> = Promise.resolve();
        let got = 0;
        for await (const job of queue) {
          onRecord(job.record.value!);
          last = job.ack();
          got += 1;
          if (got === records) break;
        }
        // One request after the other: with the last one all are stored.
        await Promise.race([last, unsettled]);
      },
      close: () => client.close(),
    };
  },
};

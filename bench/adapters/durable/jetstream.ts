import { AckPolicy, StorageType, connect } from 'nats';
import type { DurableAdapter } from './adapter.ts';

const CONSUMER = 'bench';
/** Messages that the server may send ahead of the acknowledgements. */
const AHEAD = 1_000;

/** NATS JetStream: a stream in files or in memory. With files it acknowledges before it syncs, which it does every two minutes by default. */
export const jetstream: DurableAdapter = {
  async connect({ host, port, caFile }) {
    const connection = await connect({
      servers: `${host}:${port}`,
      ...(caFile !== undefined && { tls: { caFile } }),
    });
    const manager = await connection.jetstreamManager();
    const stream = connection.jetstream();
    return {
      async create(name, storage) {
        const kept = storage === 'disk' ? StorageType.File : StorageType.Memory;
        await manager.streams.add({ name, subjects: [name], storage: kept });
        await manager.consumers.add(name, {
          durable_name: CONSUMER,
          ack_policy: AckPolicy.Explicit,
          max_ack_pending: 2 * AHEAD,
        });
      },
      publish: (name, value) => stream.publish(name, value),
      async consume(name, records, onRecord) {
        const consumer = await stream.consumers.get(name, CONSUMER);
        const messages = await consumer.consume({ max_messages: AHEAD });
        let got = 0;
        for await (const message of messages) {
          onRecord(message.data);
          message.ack();
          got += 1;
          if (got === records) break;
        }
        await connection.flush();
      },
      close: () => connection.close(),
    };
  },
};

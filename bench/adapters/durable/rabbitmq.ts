import { readFileSync } from 'node:fs';
import { connect } from 'amqplib';
import type { DurableAdapter } from './adapter.ts';

/** Messages that the server may send ahead of the acknowledgements. */
const PREFETCH = 1_000;

/**
 * RabbitMQ: a durable classic queue, persistent messages, publisher confirms; consumed with an acknowledgement each. In memory: a
 * queue that is not durable, for which messages are not persistent whatever they say.
 */
export const rabbitmq: DurableAdapter = {
  async connect({ host, port, caFile }) {
    const scheme = caFile === undefined ? 'amqp' : 'amqps';
    const options = caFile === undefined ? {} : { ca: [readFileSync(caFile)] };
    const connection = await connect(`${scheme}://guest:guest@${host}:${port}`, options);
    const channel = await connection.createConfirmChannel();
    return {
      async create(name, storage) {
        await channel.assertQueue(name, { durable: storage === 'disk' });
      },
      publish: (name, value) =>
        new Promise<void>((resolve, reject) => {
          channel.sendToQueue(name, value, { persistent: true }, (error: unknown) => {
            if (error == null) resolve();
            else reject(new Error('not confirmed', { cause: error }));
          });
        }),
      async consume(name, records, onRecord) {
        await channel.prefetch(PREFETCH);
        let got = 0;
        await new Promise<void>((resolve, reject) => {
          const onMessage = (message: { readonly content: Buffer } | null): void => {
            if (message === null) {
              reject(new Error('the queue is gone'));
              return;
            }
            onRecord(message.content);
            channel.ack(message as Parameters<typeof channel.ack>[0]);
            got += 1;
            if (got === records) resolve();
          };
          channel.consume(name, onMessage).catch(reject);
        });
      },
      close: () => connection.close(),
    };
  },
};

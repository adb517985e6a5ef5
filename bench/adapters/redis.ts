import { readFileSync } from 'node:fs';
import { createClient } from 'redis';
import type { Adapter, ServerAddress } from './adapter.ts';

/** Publishes whose replies are awaited together. */
const PIPELINE = 1_000;

async function dial(server: ServerAddress): Promise<ReturnType<typeof createClient>> {
  const client = createClient({
    socket: {
      host: server.host,
      port: server.port,
      tls: true,
      ca: readFileSync(server.caFile),
      servername: 'localhost',
    },
  });
  await client.connect();
  return client as ReturnType<typeof createClient>;
}

/** Redis publish/subscribe with TLS. Its protocol wants one connection for subscribing and one for publishing. */
export const redis: Adapter = {
  async connect(server) {
    let subscriber: ReturnType<typeof createClient> | undefined;
    let waiting: Promise<unknown>[] = [];
    const publisher = await dial(server);
    const settle = async (): Promise<void> => {
      const replies = waiting;
      waiting = [];
      await Promise.all(replies);
    };
    return {
      async subscribe(topic, onValue) {
        subscriber ??= await dial(server);
        await subscriber.subscribe(topic, (message: Buffer) => onValue(message), true);
        return {
          stall: () => {
            throw new Error('the redis client cannot stop reading');
          },
          resume: () => undefined,
        };
      },
      publish(topic, value) {
        waiting.push(publisher.publish(topic, value as Buffer));
        return waiting.length < PIPELINE;
      },
      ready: settle,
      flush: settle,
      async close() {
        await settle();
        await publisher.close();
        await subscriber?.close();
      },
    };
  },
};

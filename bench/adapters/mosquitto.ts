import { readFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { connectAsync } from 'mqtt';
import type { Adapter } from './adapter.ts';

/** Mosquitto through MQTT.js, QoS 0 with TLS. */
export const mosquitto: Adapter = {
  async connect(server) {
    const client = await connectAsync(`mqtts://${server.host}:${server.port}`, {
      ca: readFileSync(server.caFile),
      protocolVersion: 4,
    });
    const stream = client.stream as unknown as Duplex;
    const drained = (): Promise<void> =>
      new Promise((resolve) => {
        if (stream.writableNeedDrain) stream.once('drain', () => resolve());
        else setImmediate(resolve);
      });
    return {
      async subscribe(topic, onValue) {
        client.on('message', (name, payload) => {
          if (name === topic) onValue(payload);
        });
        await client.subscribeAsync(topic);
        return { stall: () => stream.pause(), resume: () => stream.resume() };
      },
      publish(topic, value) {
        client.publish(topic, value as Buffer);
        return !stream.writableNeedDrain;
      },
      ready: drained,
      flush: drained,
      close: () => client.endAsync(),
    };
  },
};

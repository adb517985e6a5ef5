import type { Socket } from 'node:net';
import { connect } from 'nats';
import type { Adapter } from './adapter.ts';

/** The client's transport, which is not in its types: the only way to stop reading without buffering without bound. */
interface Internals {
  readonly protocol: { readonly transport: { readonly socket: Socket } };
}

/** More than the client's default, which a handshake over a link that loses packets may exceed. */
const CONNECT_MS = 10_000;
/** Publishes between two flushes: the client writes whatever gathers in one tick together. */
const PUBLISHES_PER_FLUSH = 1_000;

/** NATS through its TypeScript client, core publish/subscribe with TLS. */
export const nats: Adapter = {
  async connect(server) {
    const connection = await connect({
      servers: `${server.host}:${server.port}`,
      tls: { caFile: server.caFile },
      timeout: CONNECT_MS,
    });
    const { socket } = (connection as unknown as Internals).protocol.transport;
    let sinceFlush = 0;
    return {
      async subscribe(topic, onValue) {
        connection.subscribe(topic, { callback: (_error, message) => onValue(message.data) });
        await connection.flush();
        return { stall: () => socket.pause(), resume: () => socket.resume() };
      },
      publish(topic, value) {
        connection.publish(topic, value);
        sinceFlush += 1;
        return sinceFlush < PUBLISHES_PER_FLUSH;
      },
      async ready() {
        sinceFlush = 0;
        await connection.flush();
      },
      flush: () => connection.flush(),
      close: () => connection.close(),
    };
  },
};

import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { fastify } from 'fastify';
import { describe, expect, it } from 'vitest';
import { AnswerRoom } from '../../../src/gateway/http/answers/answer-room.ts';
import { addErrors } from '../../../src/gateway/http/errors.ts';
import { sendJson } from '../../../src/gateway/http/send-json.ts';
import { ByteBudget } from '../../../src/log/byte-budget.ts';
import { silentLogger } from '../../../src/telemetry/logger.ts';

const MiB = 1024 * 1024;

/** Tells when something was given back. */
class WatchedBudget extends ByteBudget {
  readonly given = Promise.withResolvers<undefined>();

  override give(bytes: number): void {
    super.give(bytes);
    this.given.resolve(undefined);
  }
}

describe('large answers', () => {
  it('are bounded by what clients have not read, and free it when they go', async () => {
    const server = fastify();
    const unread = new WatchedBudget(100 * MiB);
    addErrors(server, silentLogger, () => undefined);
    const body = Buffer.from(`"${'x'.repeat(60 * MiB)}"`);
    server.get('/', (_request, reply) =>
      sendJson(reply, { body, room: new AnswerRoom(unread, body.length) }),
    );
    await server.listen({ host: '127.0.0.1', port: 0 });
    const { port } = server.server.address() as { port: number };
    /** Asks, reads the first bytes and then no more. */
    const ask = async (): Promise<{ socket: Socket; begin: string }> => {
      const socket = connect(port, '127.0.0.1');
      socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
      const [chunk] = (await once(socket, 'data')) as [Buffer];
      socket.pause();
      return { socket, begin: chunk.toString('latin1', 0, 12) };
    };
    const first = await ask();
    const second = await ask();
    const heldBytes = unread.usedBytes;
    first.socket.destroy();
    second.socket.destroy();
    await unread.given.promise;
    const freeBytes = unread.limitBytes - unread.usedBytes;
    await server.close();
    expect([first.begin, second.begin, heldBytes > 60 * MiB, freeBytes]).toEqual([
      'HTTP/1.1 200',
      'HTTP/1.1 429',
      true,
      100 * MiB,
    ]);
  });
});

import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { fastify } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConnectionLines } from '../../../src/gateway/http/answers/connection-lines.ts';
import { addErrors } from '../../../src/gateway/http/errors.ts';
import { silentLogger } from '../../../src/telemetry/logger.ts';

const REQUEST = 'GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n';
const LAST = 'GET /last HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n';

describe('costly requests of a connection', () => {
  let server: FastifyInstance;
  /** Those that were begun and have no answer. */
  let begun: FastifyReply[];
  let onBegun: () => void;
  beforeEach(async () => {
    begun = [];
    onBegun = () => undefined;
    server = fastify({ forceCloseConnections: true });
    addErrors(server, silentLogger, () => undefined);
    server.get('/large', { onRequest: new ConnectionLines().enter }, (_request, reply) => {
      begun.push(reply);
      onBegun();
    });
    server.get('/last', () => 'last');
    server.get('/seen', () => 'seen');
    await server.listen({ host: '127.0.0.1', port: 0 });
  });
  afterEach(() => server.close());
  const dial = (): Socket =>
    connect((server.server.address() as { port: number }).port, '127.0.0.1').on('error', () => undefined);
  const nextBegun = (): Promise<void> => new Promise((resolve) => (onBegun = resolve));
  /** All that was sent before has been heard. */
  const heard = async (): Promise<void> => {
    const answered = text(dial().end('GET /seen HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n'));
    await answered;
  };

  it('begin one after the other, each once the answer before it is taken', async () => {
    const socket = dial();
    const answers = text(socket);
    const first = nextBegun();
    socket.write(REQUEST.repeat(3) + LAST);
    await first;
    await heard();
    const counts = [begun.length];
    for (const body of ['one', 'two', 'three']) {
      const next = nextBegun();
      void begun.pop()!.send(body);
      if (body !== 'three') await next;
      counts.push(begun.length);
    }
    expect([counts, (await answers).match(/one|two|three|last/g)]).toEqual([
      [1, 1, 1, 0],
      ['one', 'two', 'three', 'last'],
    ]);
  });

  it('wait in a small number, beyond which they are refused and never begun', async () => {
    const socket = dial();
    const answers = text(socket);
    const first = nextBegun();
    socket.write(REQUEST.repeat(30) + LAST);
    await first;
    await heard();
    onBegun = () => void begun.at(-1)!.send('large');
    void begun[0]!.send('large');
    const statuses = (await answers).match(/HTTP\/1\.1 \d+/g)!.map((line) => line.slice(-3));
    expect([begun.length, statuses]).toEqual([
      17,
      [...Array<string>(17).fill('200'), ...Array<string>(13).fill('429'), '200'],
    ]);
  });

  it('of other connections do not wait', async () => {
    const first = nextBegun();
    dial().write(REQUEST);
    await first;
    const second = nextBegun();
    dial().write(REQUEST);
    await second;
    expect(begun).toHaveLength(2);
  });

  it('that wait are forgotten when the connection ends', async () => {
    const socket = dial();
    const first = nextBegun();
    socket.write(REQUEST.repeat(2));
    await first;
    await heard();
    const { raw } = begun[0]!.request;
    socket.destroy();
    if (!raw.socket.destroyed) await once(raw.socket, 'close');
    await heard();
    expect(begun).toHaveLength(1);
  });
});

import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { SluiceError } from '../../../kernel/errors.ts';
import { whenTaken } from './when-taken.ts';

/** Costly requests of one connection that wait behind another one. */
const WAITING_MAX = 16;

/** Costly requests of a connection, one after the other: the next begins, in a turn of its own, once the answer before it has been taken. */
export class ConnectionLines {
  /** What waits on connections that have a costly request under way. */
  readonly #waiting = new WeakMap<Socket, (() => void)[]>();

  /** A hook of costly routes. It tells `done` of OVERLOADED when too many wait already; what waits when the connection ends is forgotten. */
  readonly enter = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void => {
    const { socket } = request.raw;
    const waiting = this.#waiting.get(socket);
    const begin = (): void => {
      whenTaken(reply, () => this.#next(socket));
      done();
    };
    if (!waiting) {
      this.#waiting.set(socket, []);
      begin();
    } else if (waiting.length < WAITING_MAX) waiting.push(begin);
    else
      done(
        new SluiceError(
          'OVERLOADED',
          `at most ${WAITING_MAX} requests of a connection wait behind a large one`,
        ),
      );
  };

  #next(socket: Socket): void {
    const begin = socket.destroyed ? undefined : this.#waiting.get(socket)?.shift();
    if (begin) setImmediate(begin);
    else this.#waiting.delete(socket);
  }
}

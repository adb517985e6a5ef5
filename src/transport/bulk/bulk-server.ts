import type { TLSSocket } from 'node:tls';
import { SluiceError } from '../../kernel/errors.ts';
import type { CallerCheck } from '../grpc/grpc-tls.ts';
import type { BulkSocketOptions } from './bulk-socket.ts';
import { BulkSocket } from './bulk-socket.ts';
import { KIND } from './frames.ts';

/** Takes a stream of one method. Sets its callbacks before it returns; must not throw. */
export type BulkRoute<Who> = (who: Who, socket: BulkSocket) => void;

/** The called ends of bulk streams: who is there, and what is asked for. */
export class BulkServer<Who> {
  readonly #options: BulkSocketOptions;
  readonly #identify: CallerCheck<Who>;
  readonly #routes: ReadonlyMap<string, BulkRoute<Who>>;
  readonly #sockets = new Set<TLSSocket>();
  #whenIdle: () => void = () => undefined;

  /**
   * @param identify who a caller is; one that it throws for gets that error
   * @param routes by path of their method
   */
  constructor(
    options: BulkSocketOptions,
    identify: CallerCheck<Who>,
    routes: ReadonlyMap<string, BulkRoute<Who>>,
  ) {
    this.#options = options;
    this.#identify = identify;
    this.#routes = routes;
  }

  /** @param socket secure, with a certificate that its authorities have signed */
  take(socket: TLSSocket): void {
    const bulk = new BulkSocket(socket, this.#options, true);
    bulk.onFrame = (kind, payload) => {
      if (kind !== KIND.open) throw new SluiceError('PROTOCOL_ERROR', 'the stream is not open');
      this.#open(socket, bulk, payload.toString());
    };
    socket.on('data', (bytes: Buffer) => bulk.received(bytes));
    this.#sockets.add(socket);
    socket.once('close', () => this.#gone(socket));
  }

  /** Resolves when no connection is left. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenIdle = resolve;
      if (this.#sockets.size === 0) resolve();
    });
  }

  /** Closes all connections at once. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** @throws what `identify` throws; UNSUPPORTED */
  #open(socket: TLSSocket, bulk: BulkSocket, path: string): void {
    const who = this.#identify(socket.getPeerX509Certificate()?.raw);
    const route = this.#routes.get(path);
    if (!route) throw new SluiceError('UNSUPPORTED', `there is no stream ${path}`);
    route(who, bulk);
  }

  #gone(socket: TLSSocket): void {
    this.#sockets.delete(socket);
    if (this.#sockets.size === 0) this.#whenIdle();
  }
}

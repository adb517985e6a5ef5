import type { Socket } from 'node:net';

/** Connections of which there may be a bounded number: the oldest is closed for each one more, so that who comes in earnest gets in whoever was there before. */
export class NewestSockets<S extends Socket> {
  readonly #max: number;
  readonly #sockets = new Set<S>();

  /** @param max connections that are kept */
  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#sockets.size;
  }

  add(socket: S): void {
    this.#sockets.add(socket);
    if (this.#sockets.size <= this.#max) return;
    const [oldest] = this.#sockets;
    this.#sockets.delete(oldest!);
    oldest!.destroy();
  }

  delete(socket: S): void {
    this.#sockets.delete(socket);
  }
}

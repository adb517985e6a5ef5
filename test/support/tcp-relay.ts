import type { AddressInfo, Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';

/** To the server, or to the caller. */
export type Direction = 'up' | 'down';

/** Stands between the two ends of TCP connections. */
export class TcpRelay {
  /** Whatever comes from either end is swallowed; the connections stay. */
  frozen = false;
  /** Bytes passed on towards the server, and towards the caller. */
  readonly passed = { up: 0, down: 0 };
  /** Sockets that are open, two for each connection. */
  readonly open = new Set<Socket>();
  readonly #server: Server;
  readonly #held: (() => void)[] = [];
  #holding: readonly Direction[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  static async listen(targetPort: number): Promise<TcpRelay> {
    const server = createServer({ allowHalfOpen: true }, (caller) => {
      const target = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
      caller.setNoDelay(true);
      relay.#join(caller, target, 'up');
      relay.#join(target, caller, 'down');
    });
    const relay = new TcpRelay(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Keeps what goes there until {@link release}. */
  hold(...directions: readonly Direction[]): void {
    this.#holding = directions;
  }

  /** Passes on what was kept, and all that comes from now on. */
  release(): void {
    this.#holding = [];
    for (const pass of this.#held.splice(0)) pass();
  }

  /** Passes on the oldest piece that is kept. */
  releaseOne(): void {
    this.#held.shift()?.();
  }

  /** Pieces that are kept. */
  get held(): number {
    return this.#held.length;
  }

  /** Ends all connections as a machine does that is gone. */
  cut(): void {
    for (const socket of this.open) socket.resetAndDestroy();
  }

  close(): void {
    this.#server.close();
    for (const socket of this.open) socket.destroy();
  }

  #join(from: Socket, to: Socket, direction: Direction): void {
    this.open.add(from);
    from.on('error', () => undefined);
    from.on('close', () => {
      this.open.delete(from);
      if (!this.frozen) to.destroy();
    });
    from.on('end', () => {
      if (!this.frozen) to.end();
    });
    from.on('data', (bytes: Buffer) => {
      if (this.frozen) return;
      if (this.#holding.includes(direction)) this.#held.push(() => this.#pass(from, to, bytes, direction));
      else this.#pass(from, to, bytes, direction);
    });
  }

  #pass(from: Socket, to: Socket, bytes: Buffer, direction: Direction): void {
    this.passed[direction] += bytes.length;
    if (to.write(bytes)) return;
    from.pause();
    to.once('drain', () => from.resume());
  }
}

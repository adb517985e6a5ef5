import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';

/** A TCP port that passes everything on to another one: late, or not at all, as the test says. */
export class TcpRelay implements AsyncDisposable {
  /** Each chunk of bytes is passed on this much later, both ways. */
  delayMs = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** What is held back while the relay is silent, in order. */
  #held: (() => void)[] | undefined;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async to(targetPort: number): Promise<TcpRelay> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const relay = new TcpRelay(server);
    server.on('connection', (client) => relay.#join(client, connect(targetPort, '127.0.0.1')));
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** From now on nothing passes and nobody is told, as when a network drops every packet. */
  silence(): void {
    this.#held ??= [];
  }

  /** What was held back passes now, and all after it. */
  resume(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const pass of held) pass();
  }

  /** Breaks all connections there are. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#held = undefined;
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(a: Socket, b: Socket): void {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      this.#sockets.add(from);
      from.setNoDelay();
      from.on('data', (chunk) => this.#later(() => void to.write(chunk)));
      from.on('error', () => undefined);
      from.on('close', () => {
        this.#sockets.delete(from);
        this.#later(() => void to.destroy());
      });
    }
  }

  #later(pass: () => void): void {
    const due = (): void => {
      if (this.#held) this.#held.push(pass);
      else pass();
    };
    if (this.delayMs === 0) due();
    else setTimeout(due, this.delayMs);
  }
}

import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** What passes a relay. */
export type Direction = 'to-server' | 'to-client';

/** A hop between one client and a server, as a NAT is one: it can change its address, lose packets, and listen in. */
export class UdpRelay {
  /** Every packet that passed; switch with {@link recording}. */
  readonly packets: { readonly direction: Direction; readonly bytes: Buffer }[] = [];
  recording = false;
  /** Returns true for packets to lose. */
  drop: (direction: Direction, bytes: Buffer) => boolean = () => false;
  /** How long each way takes besides, milliseconds. */
  delayMs = 0;
  readonly #front: Socket;
  readonly #serverPort: number;
  #back!: Socket;
  #clientPort = 0;
  #closed = false;

  private constructor(front: Socket, serverPort: number) {
    this.#front = front;
    this.#serverPort = serverPort;
    front.on('message', (bytes, from) => {
      this.#clientPort = from.port;
      this.#pass('to-server', bytes, () => this.#back.send(bytes, serverPort, '127.0.0.1'));
    });
  }

  /** Opens a relay to the server on `serverPort` of 127.0.0.1. */
  static async open(serverPort: number): Promise<UdpRelay> {
    const relay = new UdpRelay(await bound(), serverPort);
    await relay.rebind();
    return relay;
  }

  /** Where the client must connect to. */
  get port(): number {
    return this.#front.address().port;
  }

  /** Where the server sees the client. */
  get outerPort(): number {
    return this.#back.address().port;
  }

  /** Goes on from another port, as a NAT does that forgot its binding. */
  async rebind(): Promise<void> {
    const back = await bound();
    back.on('message', (bytes) => {
      this.#pass('to-client', bytes, () => this.#front.send(bytes, this.#clientPort, '127.0.0.1'));
    });
    const before = this.#back as Socket | undefined;
    this.#back = back;
    before?.close();
  }

  /** Sends bytes of an attacker to the server, from the address that the server knows as the client's. */
  inject(bytes: Buffer): void {
    this.#back.send(bytes, this.#serverPort, '127.0.0.1');
  }

  /** Sends bytes of an attacker to the client, from the server's address as the client knows it. */
  injectToClient(bytes: Buffer): void {
    this.#front.send(bytes, this.#clientPort, '127.0.0.1');
  }

  close(): void {
    this.#closed = true;
    this.#front.close();
    this.#back.close();
  }

  #pass(direction: Direction, bytes: Buffer, send: () => void): void {
    if (this.recording) this.packets.push({ direction, bytes: Buffer.from(bytes) });
    if (this.drop(direction, bytes)) return;
    if (this.delayMs === 0) send();
    else setTimeout(() => !this.#closed && send(), this.delayMs);
  }
}

/** A bound socket on 127.0.0.1. */
export async function bound(): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

/** Datagrams per turn: fewer than a socket is emptied of in one, so that none is lost for want of buffer. */
const PORTION = 16;

/** Calls `send` `count` times, in portions that the receiver keeps up with. */
export async function inPortions(count: number, send: (index: number) => void): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    send(i);
    if (i % PORTION === PORTION - 1) await nextTurn();
  }
  await nextTurn();
}

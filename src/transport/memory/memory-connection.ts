import type { Clock } from '../../kernel/clock.ts';
import { ERRORS, SluiceError } from '../../kernel/errors.ts';
import { StreamSlots } from '../stream-slots.ts';
import type {
  BidiStream,
  CloseReason,
  Connection,
  ConnectionStats,
  SendStream,
  Stream,
  TransportLimits,
} from '../transport.ts';
import type { PipeHost } from './memory-stream.ts';
import { MemoryReceiveStream, MemorySendStream } from './memory-stream.ts';

/** Size of the largest datagram in memory, bytes: what is left of a 1,200-byte packet, so that tests meet a real bound. */
const MAX_DATAGRAM_BYTES = 1150;

/** What the two ends of a connection in memory share. */
export interface MemoryLink {
  readonly clock: Clock;
  readonly maxChunkBytes: number;
  /** Decides about each datagram; true loses it. */
  readonly dropDatagram: (bytes: Uint8Array) => boolean;
  /** Runs `task` in a microtask, after the tasks scheduled before it. */
  schedule(task: () => void): void;
}

/** Creates the schedule of a link: tasks run in order, in microtasks, never from inside the call that schedules them. */
export function createSchedule(): (task: () => void) => void {
  let tasks: (() => void)[] = [];
  const run = (): void => {
    const batch = tasks;
    tasks = [];
    for (const task of batch) task();
  };
  return (task) => {
    tasks.push(task);
    if (tasks.length === 1) queueMicrotask(run);
  };
}

/** What one end needs to know when it is made. */
interface EndOptions {
  readonly side: 'client' | 'server';
  readonly remoteAddress: string;
  readonly peerCertificate: Uint8Array | undefined;
  readonly limits: TransportLimits;
}

type Kind = 'bidi' | 'uni';

/** One end of a connection in memory. */
export class MemoryConnection implements Connection {
  readonly scheme = 'memory';
  readonly side: 'client' | 'server';
  readonly remoteAddress: string;
  readonly peerCertificate: Uint8Array | undefined;
  arrivalLimitBytes = Infinity;
  onStream: ((stream: Stream) => void) | undefined;
  onDatagram: ((bytes: Buffer) => void) | undefined;
  onClose: ((reason: CloseReason) => void) | undefined;
  isAwaited: (() => boolean) | undefined;
  onSilent: (() => void) | undefined;

  readonly #link: MemoryLink;
  readonly #limits: TransportLimits;
  readonly #slots: Record<Kind, StreamSlots<number>>;
  readonly #sending = new Set<MemorySendStream>();
  readonly #receiving = new Set<MemoryReceiveStream>();
  readonly #onGone: () => void;
  #peer!: MemoryConnection;
  #closed = false;
  #sentBytes = 0;
  #receivedBytes = 0;

  /** @param onGone called once when this end is closed, after its owner was told */
  constructor(link: MemoryLink, options: EndOptions, peerLimits: TransportLimits, onGone: () => void) {
    this.#link = link;
    this.side = options.side;
    this.remoteAddress = options.remoteAddress;
    this.peerCertificate = options.peerCertificate;
    this.#limits = options.limits;
    this.#slots = {
      bidi: new StreamSlots(peerLimits.maxStreams),
      uni: new StreamSlots(peerLimits.maxStreams),
    };
    this.#onGone = onGone;
  }

  /** Ties two ends together. */
  static join(client: MemoryConnection, server: MemoryConnection): void {
    client.#peer = server;
    server.#peer = client;
  }

  /** Gives a new connection to its owner, unless the peer has closed it already. */
  handOut(onConnection: (connection: Connection) => void): void {
    if (!this.#closed) this.#call(() => onConnection(this));
  }

  get maxDatagramBytes(): number {
    return this.#closed ? 0 : MAX_DATAGRAM_BYTES;
  }

  openBidi(): BidiStream {
    const { id, send, receive } = this.#open('bidi');
    return { id, send, receive: receive! };
  }

  openUni(): SendStream {
    return this.#open('uni').send;
  }

  sendDatagram(bytes: Uint8Array): boolean {
    if (this.#closed || bytes.byteLength > MAX_DATAGRAM_BYTES) return false;
    this.#sentBytes += bytes.byteLength;
    if (this.#link.dropDatagram(bytes)) return true;
    const copy = Buffer.from(bytes);
    this.#link.schedule(() => this.#peer.#receiveDatagram(copy));
    return true;
  }

  stats(): ConnectionStats {
    return { rttMs: 0, sentBytes: this.#sentBytes, receivedBytes: this.#receivedBytes, lostPackets: 0 };
  }

  close(errorCode: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#link.schedule(() => {
      this.#tellClosed({ errorCode, reason, by: 'local' });
      this.#link.schedule(() => this.#peer.#closedByPeer(errorCode, reason));
    });
  }

  #closedByPeer(errorCode: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#tellClosed({ errorCode, reason, by: 'peer' });
  }

  #tellClosed(reason: CloseReason): void {
    const streamCode = reason.errorCode === 0 ? ERRORS.CLOSED.wire : reason.errorCode;
    for (const send of this.#sending) send.connectionGone(streamCode);
    for (const receive of this.#receiving) receive.connectionGone(streamCode);
    this.#sending.clear();
    this.#receiving.clear();
    this.#call(() => this.onClose?.(reason));
    this.#onGone();
  }

  #receiveDatagram(bytes: Buffer): void {
    if (this.#closed) return;
    this.#receivedBytes += bytes.byteLength;
    this.#call(() => this.onDatagram?.(bytes));
    bytes.fill(0xdb);
  }

  /** Stream numbers are QUIC's: bit 0 says who opened it, bit 1 whether it is unidirectional. */
  #open(kind: Kind): {
    readonly id: number;
    readonly send: MemorySendStream;
    readonly receive: MemoryReceiveStream | undefined;
  } {
    if (this.#closed) throw new SluiceError('CLOSED', 'the connection is closed: open streams on a new one');
    const peer = this.#peer;
    const slots = this.#slots[kind];
    const id = slots.next() * 4 + (kind === 'uni' ? 2 : 0) + (this.side === 'server' ? 1 : 0);
    let openDirections = kind === 'bidi' ? 2 : 1;
    const directionFinished = (): void => {
      openDirections -= 1;
      if (openDirections === 0) slots.release(id);
    };
    let announced = false;
    const announce = (): void => {
      if (announced || peer.#closed) return;
      announced = true;
      peer.#call(() => peer.onStream?.({ id, send: back?.send, receive: out.receive }));
    };
    const out = MemoryConnection.#pipe(id, this, peer, announce, directionFinished);
    const back =
      kind === 'bidi'
        ? MemoryConnection.#pipe(id, peer, this, () => undefined, directionFinished)
        : undefined;
    back?.send.grant(); // the way back needs no place of its own: it comes with the stream
    if (!slots.take(id, () => out.send.grant())) out.send.wait();
    return { id, send: out.send, receive: back?.receive };
  }

  #call(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.close(ERRORS.INTERNAL.wire, error instanceof Error ? error.message : String(error));
    }
  }

  /** One direction of a stream, known to both ends until it is over. */
  static #pipe(
    id: number,
    from: MemoryConnection,
    to: MemoryConnection,
    announce: () => void,
    onFinished: () => void,
  ): { readonly send: MemorySendStream; readonly receive: MemoryReceiveStream } {
    const link = from.#link;
    const host: PipeHost = {
      clock: link.clock,
      maxChunkBytes: link.maxChunkBytes,
      schedule: (task) => link.schedule(task),
      callSender: (callback) => from.#call(callback),
      callReceiver: (callback) => to.#call(callback),
      receiverClosed: () => to.#closed,
      announce,
      finished: () => {
        from.#sending.delete(send);
        to.#receiving.delete(receive);
        onFinished();
      },
      countSent: (bytes) => {
        from.#sentBytes += bytes;
      },
      countReceived: (bytes) => {
        to.#receivedBytes += bytes;
      },
    };
    const receive = new MemoryReceiveStream(id, host);
    const send = new MemorySendStream(id, to.#limits.streamWindowBytes, host, receive);
    from.#sending.add(send);
    to.#receiving.add(receive);
    return { send, receive };
  }
}

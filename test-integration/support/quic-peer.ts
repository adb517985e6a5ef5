/** A client that may do everything wrong: frames and streams by hand on a real QUIC connection. */
import { readFileSync } from 'node:fs';
import { HelloSchema } from '../../src/gen/sluice/client/v1/control_pb.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { systemClock } from '../../src/kernel/system-clock.ts';
import { DEFAULT_LIMITS } from '../../src/transport/limits.ts';
import { createQuicTransport } from '../../src/transport/quic/quic-transport.ts';
import type { CloseReason, Connection, Stream } from '../../src/transport/transport.ts';
import { encodeControl } from '../../src/wire/control.ts';
import { CONTROL_MAX_BYTES, FRAME, FRAME_MAX_BYTES } from '../../src/wire/frame.ts';
import { FrameReader } from '../../src/wire/frame-reader.ts';
import { eventually } from './eventually.ts';

/** Where a node listens. */
export interface PeerTarget {
  readonly host: string;
  readonly quicPort: number;
  /** File with the authority of its certificate. */
  readonly ca: string;
}

export interface PeerFrame {
  readonly type: number;
  readonly topic: string;
  readonly payload: Buffer;
}

/** A stream and what came back on it. */
export class PeerStream {
  readonly frames: PeerFrame[] = [];
  /** Error number with which the node no longer wants what is sent. */
  stopped: number | undefined;
  /** Error number with which the node ended what it sends. */
  reset: number | undefined;
  /** The node ended what it sends, in good order. */
  ended = false;
  readonly #stream: Stream;

  constructor(stream: Stream) {
    this.#stream = stream;
    const reader = new FrameReader(
      { maxFrameBytes: FRAME_MAX_BYTES, maxControlBytes: CONTROL_MAX_BYTES },
      (type, topic, payload) => this.frames.push({ type, topic, payload }),
    );
    const { send, receive } = stream;
    if (send) send.onStopped = (code) => (this.stopped ??= code);
    if (!receive) return;
    receive.onData = (chunk) => reader.push(chunk);
    receive.onEnd = () => (this.ended = true);
    receive.onReset = (code) => (this.reset ??= code);
  }

  write(...bytes: readonly Uint8Array[]): void {
    for (const one of bytes) this.#stream.send!.write(one);
  }

  /** Ends this half. */
  end(): void {
    this.#stream.send?.end();
  }

  /** Ends this half without waiting for what was written. */
  abort(code: number): void {
    this.#stream.send?.reset(code);
  }

  /** Refuses what the node sends. */
  stop(code: number): void {
    this.#stream.receive?.stop(code);
  }

  /** Leaves what the node sends unread. */
  ignore(): void {
    this.#stream.receive?.pause();
  }

  of(type: number): PeerFrame[] {
    return this.frames.filter((frame) => frame.type === type);
  }

  /** Resolves with the first frame of that type. */
  async frame(type: number): Promise<PeerFrame> {
    await eventually(`frame 0x${type.toString(16)}`, () => this.of(type).length > 0);
    return this.of(type)[0]!;
  }
}

/** A QUIC connection to a node, with nothing said on it yet. */
export class QuicPeer implements Disposable {
  readonly connection: Connection;
  closed: CloseReason | undefined;
  /** Streams the node opened. */
  readonly accepted: PeerStream[] = [];
  /** What happens with streams the node opens. */
  onStream: (stream: PeerStream) => void = () => undefined;

  private constructor(connection: Connection) {
    this.connection = connection;
    connection.onStream = (stream) => {
      const accepted = new PeerStream(stream);
      this.accepted.push(accepted);
      this.onStream(accepted);
    };
    connection.onClose = (reason) => (this.closed = reason);
  }

  static async connect({ host, quicPort, ca }: PeerTarget): Promise<QuicPeer> {
    const transport = createQuicTransport({ clock: systemClock, random: systemRandom });
    const connection = await transport.connect({
      host,
      port: quicPort,
      serverName: undefined,
      authoritiesPem: readFileSync(ca, 'utf8'),
      identity: undefined,
      limits: DEFAULT_LIMITS,
      signal: undefined,
    });
    return new QuicPeer(connection);
  }

  /** Opens the control stream, which must be the first, and says HELLO on it. */
  async hello(): Promise<PeerStream> {
    const control = this.bidi();
    control.write(HELLO);
    await control.frame(FRAME.WELCOME);
    return control;
  }

  bidi(): PeerStream {
    return new PeerStream(this.connection.openBidi());
  }

  uni(): PeerStream {
    const send = this.connection.openUni();
    return new PeerStream({ id: send.id, send, receive: undefined });
  }

  /** Resolves with the error number of the connection's end. */
  async end(): Promise<number> {
    await eventually('the end of the connection', () => this.closed !== undefined);
    return this.closed!.errorCode;
  }

  [Symbol.dispose](): void {
    this.connection.close(0, 'done');
  }
}

/** A valid HELLO frame. */
export const HELLO = encodeControl(FRAME.HELLO, HelloSchema, { version: 1, clientId: 'peer' });

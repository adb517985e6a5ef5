import type { TLSSocket } from 'node:tls';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { SluiceError, asSluiceError } from '../../kernel/errors.ts';
import type { Duplex } from '../grpc/duplex-stream.ts';
import { tellable } from '../grpc/grpc-error.ts';
import type { GrpcSettings } from '../grpc/grpc-settings.ts';
import type { MessageBytes } from '../grpc/rpc-method.ts';
import { FrameAssembler, HEADER_BYTES, KIND, encodeEnd, writeHeader } from './frames.ts';
import type { FrameKind } from './frames.ts';
import { SendBuffers } from './send-buffers.ts';

const NOTHING = Buffer.alloc(0);
/** Shared by all streams of the process: what is written is mostly sent before the turn is over. */
const SEND_BUFFERS = new SendBuffers();
/** The other end may take so long to close the connection once it has been sent all there is, milliseconds. */
const LINGER_MS = 1000;
/**
 * An end that does not read takes the other one for dead when that takes nothing of what waits for it for so long, milliseconds. Messages count when the
 * connection has all of them, many at a time, so this is long; whoever asked for them waits less.
 */
const UNTAKEN_MAX_MS = 30_000;

/** What both ends know of how a connection is kept. */
export interface BulkSocketOptions {
  readonly settings: GrpcSettings;
  readonly clock: Clock;
}

/** One end of a bulk stream: frames on a TLS connection that carries nothing else, and whether the other end is still there. */
export class BulkSocket implements Duplex {
  /** Called for each frame but signs of life. What it throws ends the stream; the other end is told as much of it as {@link tellable} allows. */
  onFrame: (kind: FrameKind, payload: Buffer) => void = () => undefined;
  /** The connection is gone, and why, as far as this end may know; called once. */
  onGone: (error: SluiceError) => void = () => undefined;
  readonly #socket: TLSSocket;
  readonly #clock: Clock;
  readonly #settings: GrpcSettings;
  readonly #frames: FrameAssembler;
  /** What had arrived and was not looked at when it was paused. */
  #rest: Buffer = NOTHING;
  #paused = false;
  /** TLS is being agreed on, for which it has to be read. */
  #connecting: boolean;
  /** Frames are being taken out of what has arrived: pausing and going on do not come in between. */
  #taking = false;
  #hasHeard = false;
  #hasSpoken = false;
  /** The connection has taken something since the last look. */
  #hasSent = false;
  /** Looks in a row at which there was no sign of life. */
  #silentLooks = 0;
  #over = false;
  #cause: SluiceError | undefined;
  #timer: Timer;

  /**
   * @param socket may still be on its way; whoever made it passes on to {@link received} what it reads
   * @param isCalled the other end opens the stream
   */
  constructor(socket: TLSSocket, { settings, clock }: BulkSocketOptions, isCalled = false) {
    this.#socket = socket;
    this.#clock = clock;
    this.#settings = settings;
    this.#connecting = socket.connecting;
    const take = (kind: FrameKind, payload: Buffer): void => {
      if (kind !== KIND.alive) this.onFrame(kind, payload);
    };
    this.#frames = new FrameAssembler(settings.maxMessageBytes, take, !isCalled);
    socket.once('secureConnect', () => {
      this.#connecting = false;
      if (this.#paused) socket.pause();
    });
    socket.on('error', (error: Error) => {
      this.#cause ??= error instanceof SluiceError ? error : new SluiceError('UNAVAILABLE', error.message);
    });
    socket.on('close', () => this.#gone());
    this.#timer = this.#lookLater();
  }

  /** Bytes that were read; the callee may use `bytes` again. */
  received(bytes: Buffer): void {
    this.#hasHeard = true;
    if (this.#over) return;
    if (this.#paused || this.#taking || this.#rest.length > 0)
      this.#rest = Buffer.concat([this.#rest, bytes]);
    else this.#take(bytes, (rest) => Buffer.from(rest));
  }

  /** Sends a message. @param sent the connection has taken it */
  write(message: MessageBytes, sent: () => void): void {
    this.#send(KIND.message, message, sent);
  }

  /** Sends the first frame. */
  sendOpen(path: string): void {
    this.#send(KIND.open, Buffer.from(path));
  }

  /** Says to the other end that it gets no more messages; those that it sends are still taken in. */
  sendLast(): void {
    this.#send(KIND.end, encodeEnd(undefined));
  }

  /**
   * Says to the other end that it is over, once what was sent before has gone, and closes. Who reads slowly is waited for as long as it shows that it is
   * there.
   * @param error undefined: it ends well
   */
  sendEnd(error?: SluiceError): void {
    if (this.#over) return;
    this.#send(KIND.end, encodeEnd(error));
    this.#over = true;
    this.#paused = false;
    this.#frames.drop();
    this.#socket.once('finish', () => {
      this.#timer.cancel();
      this.#timer = this.#clock.setTimer(LINGER_MS, () => this.#socket.destroy());
    });
    this.#socket.end();
    this.#socket.resume();
  }

  /** Closes at once; the other end hears of it from the connection. */
  cut(cause?: SluiceError): void {
    this.#over = true;
    this.#cause ??= cause;
    this.#socket.destroy();
  }

  /** Nothing more is taken in until {@link resume}. */
  pause(): void {
    if (this.#over) return;
    this.#paused = true;
    if (!this.#connecting) this.#socket.pause();
  }

  /** Goes on, in a moment with what had arrived before. */
  resume(): void {
    if (!this.#paused || this.#over) return;
    this.#paused = false;
    this.#silentLooks = 0;
    if (this.#rest.length === 0) this.#socket.resume();
    else queueMicrotask(() => this.#takeRest());
  }

  #takeRest(): void {
    if (this.#paused || this.#taking || this.#over) return;
    const rest = this.#rest;
    this.#rest = NOTHING;
    this.#take(rest, (left) => left);
    if (!this.#isPaused()) this.#socket.resume();
  }

  /** @param keep makes what is left one's own; copied for each few small messages of it, it would be copied again and again */
  #take(bytes: Buffer, keep: (rest: Buffer) => Buffer): void {
    this.#taking = true;
    let at = 0;
    try {
      while (at < bytes.length && !this.#paused && !this.#over) at = this.#frames.take(bytes, at);
    } catch (error) {
      this.#cause ??= asSluiceError(error);
      this.sendEnd(tellable(error));
    }
    this.#taking = false;
    if (this.#over || at === bytes.length) return;
    const left = bytes.subarray(at);
    this.#rest = this.#rest.length === 0 ? keep(left) : Buffer.concat([left, this.#rest]);
    // It may have been paused and gone on again from inside a frame.
    if (!this.#isPaused()) queueMicrotask(() => this.#takeRest());
  }

  /** Taking frames changes it. */
  #isPaused(): boolean {
    return this.#paused;
  }

  /** TLS takes one buffer as it is; several it would copy into memory of its own. */
  #send(kind: FrameKind, payload: MessageBytes, sent?: () => void): void {
    if (this.#over) return;
    this.#hasSpoken = true;
    const bytes = HEADER_BYTES + payload.length;
    const room = SEND_BUFFERS.take(bytes);
    writeHeader(room, kind, payload.length);
    payload.copy(room, HEADER_BYTES);
    this.#socket.write(room.subarray(0, bytes), () => {
      SEND_BUFFERS.giveBack(room);
      this.#hasSent = true;
      sent?.();
    });
  }

  /** What has arrived meanwhile is read before: a process that was frozen itself does not take the other end for silent. */
  #lookLater(): Timer {
    return this.#clock.setTimer(this.#settings.keepAliveMs, () => setImmediate(() => this.#look()));
  }

  /** Says that this end is there when it has not said anything else, and sees whether the other is. */
  #look(): void {
    if (this.#socket.destroyed || this.#socket.writableFinished) return;
    const { keepAliveMs, keepAliveTimeoutMs } = this.#settings;
    const limitMs = this.#paused ? UNTAKEN_MAX_MS : keepAliveMs + keepAliveTimeoutMs;
    this.#silentLooks = this.#isThere() ? 0 : this.#silentLooks + 1;
    if (this.#silentLooks * keepAliveMs >= limitMs) {
      this.cut(new SluiceError('UNAVAILABLE', 'the other end is silent'));
      return;
    }
    this.#hasHeard = false;
    this.#hasSent = false;
    if (!this.#hasSpoken && this.#socket.writableLength === 0) this.#send(KIND.alive, NOTHING);
    this.#hasSpoken = false;
    this.#timer = this.#lookLater();
  }

  /** Who does not read hears nothing: then it counts that the connection takes what this end says, if only that it is there. */
  #isThere(): boolean {
    return this.#hasHeard || (this.#paused && this.#hasSent);
  }

  #gone(): void {
    this.#over = true;
    this.#timer.cancel();
    this.#rest = NOTHING;
    this.onGone(
      this.#cause ?? new SluiceError('UNAVAILABLE', 'the other end, or the connection to it, is gone'),
    );
  }
}

import type { ClientDuplexStream, ServerDuplexStream, StatusObject } from '@grpc/grpc-js';
import { SluiceError, asSluiceError } from '../../kernel/errors.ts';
import { errorFromStatus, errorToStatus } from './grpc-error.ts';
import type { MessageStream } from './message-stream.ts';
import type { MessageBytes, MessageCodec, RpcMethod } from './rpc-method.ts';

/** Bytes on their way above which a stream asks its writer to wait. */
const UNSENT_MAX_BYTES = 1024 * 1024;

/** What carries the messages of one end. */
export interface Duplex {
  write(bytes: MessageBytes, sent: () => void): unknown;
  pause(): unknown;
  resume(): unknown;
}

/** How one end of a stream ends it. */
export interface Ending {
  /** Once what was written is sent. */
  well(): void;
  /** At once. */
  badly(error: SluiceError): void;
}

/** What both ends of a stream have in common. For what carries it messages are bytes; they are encoded and decoded here. */
export class DuplexStream<Out, In> implements MessageStream<Out, In> {
  onMessage: (message: In) => void = () => undefined;
  onWritable: () => void = () => undefined;
  onEnd: (error: SluiceError | undefined) => void = () => undefined;
  readonly #duplex: Duplex;
  readonly #outgoing: MessageCodec<Out>;
  readonly #incoming: MessageCodec<In>;
  readonly #ending: Ending;
  #unsentBytes = 0;
  #waiting = false;
  #closing = false;
  #over = false;

  constructor(duplex: Duplex, outgoing: MessageCodec<Out>, incoming: MessageCodec<In>, ending: Ending) {
    this.#duplex = duplex;
    this.#outgoing = outgoing;
    this.#incoming = incoming;
    this.#ending = ending;
  }

  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  write(message: Out): boolean {
    if (this.#closing || this.#over) return true;
    const bytes = this.#outgoing.encode(message);
    this.#unsentBytes += bytes.length;
    this.#duplex.write(bytes, () => this.#sent(bytes.length));
    if (this.#unsentBytes <= UNSENT_MAX_BYTES) return true;
    this.#waiting = true;
    return false;
  }

  pause(): void {
    this.#duplex.pause();
  }

  resume(): void {
    this.#duplex.resume();
  }

  end(error?: SluiceError): void {
    if (this.#over || (this.#closing && !error)) return;
    this.#closing = true;
    if (error) {
      this.#ending.badly(error);
      this.finish(error);
    } else {
      this.#ending.well();
    }
  }

  /** The call is over; tells so once, never within a call of the owner. */
  finish(error: SluiceError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    queueMicrotask(() => this.onEnd(error));
  }

  /** The bytes of a message have come. */
  take(bytes: Buffer): void {
    if (this.#over) return;
    let message: In;
    try {
      message = this.#incoming.decode(bytes);
    } catch (error) {
      this.end(asSluiceError(error, 'PROTOCOL_ERROR'));
      return;
    }
    this.onMessage(message);
  }

  #sent(bytes: number): void {
    this.#unsentBytes -= bytes;
    if (this.#over || !this.#waiting || this.#unsentBytes > UNSENT_MAX_BYTES / 2) return;
    this.#waiting = false;
    this.onWritable();
  }
}

/**
 * The calling end. `end()` says that nothing more is asked; the stream is over when the other end has answered.
 * It also ends, with undefined, when the other end ends it well.
 */
export function callingStream<In, Out>(
  call: ClientDuplexStream<MessageBytes, Buffer>,
  method: RpcMethod<In, Out>,
): MessageStream<In, Out> {
  const stream = new DuplexStream(call, method.request, method.response, {
    well: () => call.end(),
    badly: () => call.cancel(),
  });
  call.on('data', (bytes: Buffer) => stream.take(bytes));
  call.on('error', () => undefined); // the status says the same
  call.on('status', (ended: StatusObject) => stream.finish(errorFromStatus(ended)));
  return stream;
}

/** The called end. It is over, with undefined, when the caller has nothing more to ask or has given it up, or this end says `end()`. */
export function calledStream<In, Out>(
  call: ServerDuplexStream<Buffer, MessageBytes>,
  method: RpcMethod<In, Out>,
): MessageStream<Out, In> {
  const stream = new DuplexStream(call, method.response, method.request, {
    well: () => {
      call.end();
      stream.finish(undefined);
    },
    badly: (error) => call.emit('error', errorToStatus(error)),
  });
  call.on('data', (bytes: Buffer) => stream.take(bytes));
  call.on('end', () => stream.end());
  call.on('cancelled', () =>
    stream.finish(new SluiceError('UNAVAILABLE', 'the other end, or the connection to it, is gone')),
  );
  return stream;
}

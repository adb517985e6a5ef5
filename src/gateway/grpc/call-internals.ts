import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';
import type { ServerHttp2Stream } from 'node:http2';
import { constants } from 'node:http2';

/** What grpc-js keeps to itself: only there can be seen what has arrived of a message, and what becomes of one that is compressed. */
interface CallInternals {
  readonly stream: ServerHttp2Stream;
  /** @param message complete: flag, length, contents @param encoding `identity` unless the flag is set */
  decompressMessage(message: Buffer, encoding: string): Buffer | Promise<Buffer>;
  sendMessage(message: unknown, callback: () => void): void;
}

/** How the messages of a call arrive. */
export interface Arrival {
  /** A part of one. */
  part(bytes: Buffer): void;
  /**
   * One is complete.
   * @param encoding `identity` when it is not compressed
   * @returns what is in it; rejects with the status that ends the call
   */
  complete(contents: Buffer, encoding: string): Buffer | Promise<Buffer>;
}

/** Tells how the messages of a call arrive, before grpc-js does anything with them. For the version that package.json names exactly; tests see it. */
export function watchArrival(call: ServerInterceptingCallInterface, arrival: Arrival): void {
  const internals = internalsOf(call);
  internals.stream.prependListener('data', (bytes: Buffer) => arrival.part(bytes));
  internals.decompressMessage = (message, encoding) =>
    arrival.complete(message.subarray(HEAD_BYTES), encoding);
}

/** Tells what is written to the client of a call: `count` is called with its bytes, and once they have left with as many less. */
export function watchAnswers(call: ServerInterceptingCallInterface, count: (bytes: number) => void): void {
  const internals = internalsOf(call);
  const { stream } = internals;
  const send = internals.sendMessage.bind(internals);
  internals.sendMessage = (message, callback) => {
    const before = stream.writableLength;
    let bytes = 0;
    send(message, () => {
      count(-bytes);
      callback();
    });
    bytes = stream.writableLength - before;
    count(bytes);
  };
}

/** Drops what the client of a call has not taken. */
export function cutStream(call: ServerInterceptingCallInterface): void {
  internalsOf(call).stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
}

/** Ends the stream of a call that has been answered: what has arrived of a message is kept until then, and a client may leave it open. */
export function endStream(call: ServerInterceptingCallInterface): void {
  const { stream } = internalsOf(call);
  if (stream.readableEnded) return;
  stream.once('finish', () => afterwards(() => stream.close(constants.NGHTTP2_NO_ERROR)));
}

const HEAD_BYTES = 5;

function internalsOf(call: ServerInterceptingCallInterface): CallInternals {
  return call as unknown as CallInternals;
}

/** Once what was written before is on its way: a stream that is reset drops what it has not sent. */
function afterwards(callback: () => void): void {
  setImmediate(() => setImmediate(callback));
}

import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';
import type { ServerHttp2Stream } from 'node:http2';
import { constants } from 'node:http2';
import type { Principal } from '../../broker/ports.ts';
import type { SluiceError } from '../../kernel/errors.ts';
import { errorToStatus } from '../../transport/grpc/grpc-error.ts';
import type { GrpcCounters } from './counters.ts';
import type { HeldBytes, HoldsBytes } from './held-bytes.ts';
import type { Caller } from './ports.ts';

/** Bytes of messages of one call that are worked on at once, a single larger one aside; then no more are taken from it for now. */
const WORKING_MAX_BYTES = 1024 * 1024;

/** What a call is made of. */
export interface OpenCallParts {
  readonly method: string;
  readonly principal: Principal;
  /** What all calls hold together. */
  readonly held: HeldBytes<OpenCall>;
  readonly counters: GrpcCounters;
}

/**
 * One call of the message service from its first header to its end: what it holds, and the way to end it.
 *
 *     arriving: bytes of a message that is not complete     working: messages that nobody has said are done with
 */
export class OpenCall implements HoldsBytes, Caller {
  readonly principal: Principal;
  /** Name of the method. */
  readonly method: string;
  /** Aborted when the call is over; the reason is an error where this end has ended it. */
  readonly over = new AbortController();
  readonly #call: ServerInterceptingCallInterface;
  readonly #held: HeldBytes<OpenCall>;
  readonly #counters: GrpcCounters;
  #arriving = 0;
  #working = 0;
  #waiting: (() => void) | undefined;

  constructor(call: ServerInterceptingCallInterface, { method, principal, held, counters }: OpenCallParts) {
    this.#call = call;
    this.method = method;
    this.principal = principal;
    this.#held = held;
    this.#counters = counters;
    held.add(this);
    streamOf(call).on('data', (bytes: Buffer) => this.#count(bytes.length, 0));
  }

  get heldBytes(): number {
    return this.#arriving + this.#working;
  }

  /** A message is complete. @param next hands it on, which happens once there is room for it */
  arrived(bytes: number, next: () => void): void {
    this.#count(-this.#arriving, bytes);
    if (this.over.signal.aborted) return;
    if (this.#working <= WORKING_MAX_BYTES) next();
    else this.#waiting = next;
  }

  release(bytes: number): void {
    if (this.over.signal.aborted) return;
    this.#count(0, -bytes);
    const next = this.#waiting;
    if (!next || this.#working > WORKING_MAX_BYTES) return;
    this.#waiting = undefined;
    next();
  }

  end(error: SluiceError): void {
    if (this.over.signal.aborted) return;
    this.#counters.countError(error.code);
    const { code, details, metadata } = errorToStatus(error);
    this.#call.sendStatus({ code: code!, details: details!, metadata });
    this.closed(error);
    const stream = streamOf(this.#call);
    if (stream.readableEnded) return;
    // What has arrived of a message is kept until the stream ends, and a client may leave it open.
    stream.once('finish', () => afterwards(() => stream.close(constants.NGHTTP2_NO_ERROR)));
  }

  /** The call is over. Idempotent. */
  closed(reason?: SluiceError): void {
    if (this.over.signal.aborted) return;
    const held = this.heldBytes;
    this.#arriving = 0;
    this.#working = 0;
    this.#waiting = undefined;
    this.#held.delete(this);
    this.over.abort(reason);
    this.#held.changed(-held);
  }

  #count(arriving: number, working: number): void {
    if (this.over.signal.aborted) return;
    this.#arriving += arriving;
    this.#working += working;
    this.#held.changed(arriving + working);
  }
}

/** Once what was written before is on its way: a stream that is reset drops what it has not sent. */
function afterwards(callback: () => void): void {
  setImmediate(() => setImmediate(callback));
}

/** The HTTP/2 stream of a call, which grpc-js keeps to itself: only there can be seen what has arrived of a message. */
function streamOf(call: ServerInterceptingCallInterface): ServerHttp2Stream {
  return (call as unknown as { readonly stream: ServerHttp2Stream }).stream;
}

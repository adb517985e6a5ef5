import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';
import type { Principal } from '../../broker/ports.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { SluiceError } from '../../kernel/errors.ts';
import type { Slots } from '../../kernel/slots.ts';
import { errorToStatus } from '../../transport/grpc/grpc-error.ts';
import { ArrivingMessages } from './arriving-messages.ts';
import { cutStream, endStream, watchAnswers, watchArrival } from './call-internals.ts';
import type { GrpcCounters } from './counters.ts';
import type { HeldBytes, HoldsBytes } from './held-bytes.ts';
import type { Caller } from './ports.ts';

/** Bytes of messages of one call that are worked on at once, a single larger one aside; then no more are taken from it for now. */
const WORKING_MAX_BYTES = 1024 * 1024;
/** How long a call that has ended waits until its client has taken the last answers and the reason, milliseconds. */
const GOODBYE_MS = 500;

/** What a call is made of. */
export interface OpenCallParts {
  readonly clock: Clock;
  readonly method: string;
  readonly principal: Principal;
  /** What all calls hold together. */
  readonly held: HeldBytes<OpenCall>;
  readonly counters: GrpcCounters;
  /** Largest message, bytes, once it is inflated. */
  readonly maxMessageBytes: number;
  /** Messages of all calls that are inflated at once. */
  readonly inflating: Slots;
}

/**
 * One call from its first header to its end: what it holds, and the way to end it.
 *
 *     arriving: messages that are not handed on     working: messages that nobody has said are done with     unsent: answers that the client has not taken
 */
export class OpenCall implements HoldsBytes, Caller {
  readonly principal: Principal;
  /** Name of the method. */
  readonly method: string;
  /** Aborted when the call is over; the reason is an error where this end has ended it. */
  readonly over = new AbortController();
  readonly #call: ServerInterceptingCallInterface;
  readonly #clock: Clock;
  readonly #held: HeldBytes<OpenCall>;
  readonly #counters: GrpcCounters;
  readonly #arriving: ArrivingMessages;
  #working = 0;
  #unsent = 0;
  /** Complete, and waits for room; a part of what is worked on. */
  #waiting: { readonly bytes: number; readonly handOn: () => void } | undefined;

  constructor(call: ServerInterceptingCallInterface, parts: OpenCallParts) {
    const { clock, method, principal, held, counters, maxMessageBytes, inflating } = parts;
    this.#call = call;
    this.#clock = clock;
    this.method = method;
    this.principal = principal;
    this.#held = held;
    this.#counters = counters;
    this.#arriving = new ArrivingMessages({
      ...{ maxBytes: maxMessageBytes, inflating },
      asker: { gone: this.over.signal },
      count: (bytes) => this.#count(bytes),
    });
    held.add(this);
    watchArrival(call, this.#arriving);
    watchAnswers(call, (bytes) => {
      this.#unsent += bytes;
      this.#count(bytes);
    });
  }

  get heldBytes(): number {
    return this.#arriving.heldBytes + this.#working + this.#unsent;
  }

  /** A message is complete. @param handOn happens once there is room for it */
  arrived(bytes: number, handOn: () => void): void {
    this.#arriving.handedOn(bytes);
    this.#waiting = { bytes, handOn };
    this.#working += bytes;
    this.#count(bytes);
    this.#handOn();
  }

  /** A message that was handed on is done with. */
  release(bytes: number): void {
    this.#working -= bytes;
    this.#count(-bytes);
    this.#handOn();
  }

  /** Ends the call; the client gets what it has been answered, and why. */
  end(error: SluiceError): void {
    const isUnsent = this.#unsent > 0;
    if (!this.#say(error)) return;
    endStream(this.#call);
    if (isUnsent) this.#clock.setTimer(GOODBYE_MS, () => cutStream(this.#call));
  }

  drop(error: SluiceError): void {
    const isUnsent = this.#unsent > 0;
    if (!this.#say(error)) return;
    // A client that does not take its answer does not take the reason either.
    if (isUnsent) cutStream(this.#call);
    else endStream(this.#call);
  }

  /** @returns whether it was not over */
  #say(error: SluiceError): boolean {
    if (this.over.signal.aborted) return false;
    this.#counters.countError(error.code);
    const { code, details, metadata } = errorToStatus(error);
    this.#call.sendStatus({ code: code!, details: details!, metadata });
    this.closed(error);
    return true;
  }

  /** The call is over. Idempotent. */
  closed(reason?: SluiceError): void {
    if (this.over.signal.aborted) return;
    const held = this.heldBytes;
    this.#waiting = undefined;
    this.#held.delete(this);
    this.over.abort(reason);
    this.#held.changed(-held);
  }

  #handOn(): void {
    if (!this.#waiting || this.over.signal.aborted) return;
    const { bytes, handOn } = this.#waiting;
    const isAlone = this.#working === bytes;
    if (!isAlone && this.#working > WORKING_MAX_BYTES) return;
    this.#waiting = undefined;
    handOn();
  }

  #count(bytes: number): void {
    if (!this.over.signal.aborted) this.#held.changed(bytes);
  }
}

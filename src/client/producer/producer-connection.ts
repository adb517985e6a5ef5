import type { Timer } from '../../kernel/clock.ts';
import { asSluiceError } from '../../kernel/errors.ts';
import type { SluiceError } from '../../kernel/errors.ts';
import { Backoff } from '../../kernel/backoff.ts';
import type { ClientPorts } from '../ports.ts';
import { ProducerStream } from './producer-stream.ts';
import type { Session } from '../connection/session.ts';

/** What a producer does when its stream comes and goes. */
export interface StreamUser {
  /** There is a stream to send on. */
  streamUp(): void;
  /** `stream` is gone with what was in flight; undefined: none could be opened. @param final sending that again would end the same way */
  streamLost(stream: ProducerStream | undefined, error: SluiceError, final: boolean): void;
}

/**
 * The one stream a producer has at a time with one node, or with whatever node its client is connected to. It moves to a new
 * session only when all that is in flight on the old one is answered, or lost, so that batches keep their order.
 */
export class ProducerConnection {
  readonly #ports: ClientPorts;
  readonly #user: StreamUser;
  readonly #backoff: Backoff;
  #session: Session | undefined;
  #stream: ProducerStream | undefined;
  #letGo: (() => void) | undefined;
  #next: Session | undefined;
  #reopen: Timer | undefined;
  #over = false;
  /** What {@link usedLately} has seen. */
  #seen: number | undefined;

  constructor(ports: ClientPorts, user: StreamUser) {
    this.#ports = ports;
    this.#user = user;
    this.#backoff = new Backoff({ minMs: 50, maxMs: 5000 }, ports.random);
  }

  /** Where to send now; undefined while there is no connection, or it is about to be left. */
  get stream(): ProducerStream | undefined {
    return this.#session?.draining === true || this.#next !== undefined ? undefined : this.#stream;
  }

  /** Bounds of the session, if there is one. */
  get session(): Session | undefined {
    return this.#session;
  }

  /** Whether batches were sent since this was last asked, or are on their way. */
  usedLately(): boolean {
    const stream = this.#stream;
    const used = stream !== undefined && (stream.inFlightCount > 0 || stream.sentCount !== (this.#seen ?? 0));
    this.#seen = stream?.sentCount;
    return used;
  }

  sessionUp(session: Session): void {
    if (this.#stream !== undefined && this.#session?.alive === true && this.#stream.inFlightCount > 0) {
      this.#next = session;
      this.#stream.finish();
    } else {
      this.#move(session);
    }
  }

  sessionDown(session: Session): void {
    if (session === this.#next) this.#next = undefined;
    if (session !== this.#session) return;
    this.#leave();
    if (this.#next !== undefined) this.#move(this.#next);
  }

  /** No stream any more. */
  close(): void {
    this.#over = true;
    this.#next = undefined;
    this.#leave();
  }

  #move(session: Session): void {
    this.#leave();
    this.#next = undefined;
    this.#session = session;
    this.#open(session);
  }

  #leave(): void {
    this.#reopen?.cancel();
    this.#reopen = undefined;
    this.#stream?.finish();
    this.#stream = undefined;
    this.#session = undefined;
    this.#letGo?.();
    this.#letGo = undefined;
  }

  #open(session: Session): void {
    try {
      const stream = new ProducerStream(
        session.openBidi(),
        () => this.#idle(stream),
        (error) => this.#lost(session, stream, error),
      );
      this.#stream = stream;
    } catch (error) {
      this.#failed(session, undefined, asSluiceError(error));
      return;
    }
    this.#letGo ??= session.hold(() => (this.#stream?.inFlightCount ?? 0) > 0);
    this.#user.streamUp();
  }

  /** Everything in flight is answered: now it may move. */
  #idle(stream: ProducerStream): void {
    if (stream !== this.#stream) return;
    this.#backoff.reset();
    if (this.#next !== undefined) this.#move(this.#next);
  }

  #lost(session: Session, stream: ProducerStream, error: SluiceError): void {
    if (stream !== this.#stream) return;
    this.#stream = undefined;
    // When the whole connection is gone, the session says so in this same turn: then it is not the stream's own trouble.
    queueMicrotask(() => this.#failed(session, stream, error));
  }

  #failed(session: Session, stream: ProducerStream | undefined, error: SluiceError): void {
    if (this.#over) return;
    this.#user.streamLost(stream, error, session.alive && !error.retryable);
    if (session !== this.#session) return;
    if (this.#next !== undefined) {
      this.#move(this.#next);
      return;
    }
    if (!session.alive) return;
    this.#reopen = this.#ports.clock.setTimer(this.#backoff.nextMs(), () => {
      this.#reopen = undefined;
      if (session === this.#session && session.alive) this.#open(session);
    });
  }
}

import type { Principal } from '../../broker/ports.ts';
import type { ErrorCode } from '../../kernel/errors.ts';
import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import type { Timer } from '../../kernel/clock.ts';
import type { BidiStream, CloseReason, Connection, Stream } from '../../transport/transport.ts';
import type { ClientSession, Settling } from './client-session.ts';
import { ClientStream } from './client-stream.ts';
import { ControlStream } from './control-stream.ts';
import type { CredentialHolder } from '../credential-watch.ts';
import type { GatewayContext } from './gateway-context.ts';
import { SubscriptionTable } from './subscription-table.ts';
import { TurnAccount } from '../turn-account.ts';

/** How long a connection that is over stays, so that the last frames (ERROR, END, PRODUCED) reach the client before the close. */
const GOODBYE_MS = 50;
/** How long a client of a draining node has to go by itself, once everything is answered. */
const STAY_MS = 500;

/** What a session tells its gateway. */
export interface SessionOwner {
  /** The connection is gone; called once. */
  sessionOver(session: Session): void;
}

/** A client that has not said who it is may send this many times what it may have unfinished, in all. */
const STRANGER_ARRIVALS = 4;

/**
 * Where a session is in its life.
 *
 *     greeting ── HELLO ──> open ── drain ──> staying ── 0.5 s ──> going ── drain timeout ──> connection closed
 *        │ not in time        │ error            │ client has gone    │ everything is answered
 *        └────────────────────┴──────────────────┴──────> goodbye <───┘ ── 50 ms ──> connection closed ──> closed
 *
 * `staying`: drained, and the client may still go by itself, when it has another node. `going`: it is sent away once everything
 * that was received is answered. `goodbye`: the last frames are on their way, nothing more is taken. Each phase has at most one
 * timer, which ends with it.
 */
type Phase = 'greeting' | 'open' | 'staying' | 'going' | 'goodbye' | 'closed';

/** A drain that was asked for, whatever phase it met. */
interface Drain {
  readonly over: Promise<void>;
  readonly done: () => void;
}

/**
 * One connection of the native protocol: who the client is, its streams, its subscriptions.
 *
 *     control stream (id 0) ── HELLO, REQUEST, raw SUBSCRIBE ──> principal, subscriptions ──> delivery streams
 *     other client streams  ── PRODUCE, PUBLISH, REQUEST ──> broker
 *
 * Whatever a client sends ends at most its own stream or this connection; nothing is thrown to the transport.
 */
export class Session implements ClientSession, CredentialHolder {
  readonly id: string;
  readonly context: GatewayContext;
  readonly connection: Connection;
  readonly subscriptions: SubscriptionTable;
  readonly account = new TurnAccount();
  /** As the client calls itself; not trusted. */
  clientId = '';
  /** Bytes of frames that have begun to arrive on this connection's streams. */
  partialBytes = 0;
  isWrittenOff = false;
  /** Batch bytes delivered. */
  deliveredBytes = 0;
  receives = 0;

  readonly #owner: SessionOwner;
  #streams: Set<Settling> | undefined;
  #control: ControlStream | undefined;
  #principal: Principal | undefined;
  #phase: Phase = 'greeting';
  #timer: Timer | undefined;
  /** Opened before it was known who the client is. */
  #strangerStreams = 0;
  /** How long somebody who guesses waits for its refusal, milliseconds. */
  #answerAfterMs = 0;
  #drain: Drain | undefined;

  constructor(id: string, context: GatewayContext, connection: Connection, owner: SessionOwner) {
    this.id = id;
    this.context = context;
    this.connection = connection;
    this.#owner = owner;
    this.subscriptions = new SubscriptionTable(
      context.limits.maxSubscriptions,
      context.limits.maxSubscriptionBytes,
    );
  }

  /** Takes the connection over. Must be called while the transport hands it out. */
  start(): void {
    this.connection.onStream = (stream) => this.#onStream(stream);
    this.connection.onClose = (reason) => this.#onClose(reason);
    try {
      this.#identify(undefined);
    } catch (error) {
      this.#expectHello(asSluiceError(error));
    }
  }

  get authenticated(): boolean {
    return this.#principal !== undefined;
  }

  get helloSeen(): boolean {
    return this.#control?.helloSeen === true;
  }

  get streamCount(): number {
    return this.#streams?.size ?? 0;
  }

  /**
   * The client, for something it wants the broker to do.
   * @throws UNAUTHENTICATED when it has not said who it is; DRAINING
   */
  requirePrincipal(): Principal {
    if (this.#drain) throw new SluiceError('DRAINING', 'this node is going: connect to another one');
    return this.requireIdentity();
  }

  /** The same for what a draining node still answers. @throws UNAUTHENTICATED, CLOSED */
  requireIdentity(): Principal {
    if (this.#isOver) throw new SluiceError('CLOSED', 'the connection is over');
    if (this.#principal) return this.#principal;
    throw new SluiceError('UNAUTHENTICATED', 'say HELLO with a token first, or show a client certificate');
  }

  /** The client said HELLO. @throws UNAUTHENTICATED */
  authenticate(token: string): Principal {
    try {
      return this.#identify(token === '' ? undefined : token);
    } catch (error) {
      this.#logRefusal(error);
      this.#answerAfterMs = this.context.failedAuthentications.note(this.connection.remoteAddress);
      throw error;
    }
  }

  /** A token that is no longer good ends the connection: what was asked with it goes no further. */
  checkCredential(): void {
    if (!this.#principal || this.context.broker.isStillValid(this.#principal)) return;
    const refusal = new SluiceError('UNAUTHENTICATED', 'the token has been revoked or has expired');
    this.#logRefusal(refusal);
    this.#principal = undefined;
    this.context.credentials.delete(this);
    this.subscriptions.abandonAll();
    this.fail(refusal);
  }

  /** Counts a refusal or a stream that ended with an error. */
  countError(code: ErrorCode): void {
    this.context.counters.countError(code);
  }

  /** Ends the connection because of an error: an ERROR frame where there is a control stream, then the close. */
  fail(error: SluiceError): void {
    if (this.#isOver) return;
    this.countError(error.code);
    this.context.log.info('session.failed', {
      session: this.id,
      remote: this.connection.remoteAddress,
      code: error.code,
      reason: error.message,
    });
    const answer = (): void => {
      this.#sayGoodbye(error.wire, error.message, this.#control ? GOODBYE_MS : 0);
      this.#control?.sayGoodbye(error);
    };
    if (this.#answerAfterMs === 0) answer();
    else this.#enter('goodbye', this.#answerAfterMs, answer);
  }

  /** Ends the connection at once, so that what its unfinished frames take is free for others. */
  giveWay(): void {
    const { counters } = this.context;
    const error = new SluiceError(
      'OVERLOADED',
      'unfinished frames of all clients took too much, and yours the most',
    );
    counters.partialBytes -= this.partialBytes;
    this.isWrittenOff = true;
    this.countError(error.code);
    this.#enter('goodbye');
    this.connection.close(error.wire, error.message);
  }

  /**
   * Lets the client go in good order: GOAWAY, deliveries end with END(DRAINING), what was received is answered, nothing new is
   * taken. A client that has not gone by itself {@link STAY_MS} later is sent away when it is answered. Resolves when the
   * connection is closed, at the latest after the drain timeout.
   */
  drain(reason: string, alternatives: readonly string[]): Promise<void> {
    if (this.#phase === 'closed') return Promise.resolve();
    if (this.#drain) return this.#drain.over;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#drain = { over: promise, done: () => resolve(undefined) };
    this.#control?.goAway(reason, alternatives);
    this.subscriptions.endAll('DRAINING', reason);
    if (!this.#isOver) this.#stay(reason);
    return promise;
  }

  progressed(): void {
    this.#goWhenSettled();
  }

  streamOver(stream: Settling): void {
    this.#streams?.delete(stream);
    this.#goWhenSettled();
  }

  /** Whether nothing more is taken. */
  get #isOver(): boolean {
    return this.#phase === 'goodbye' || this.#phase === 'closed';
  }

  /** The timer of the phase before ends with it. */
  #enter(phase: Phase, endsAfterMs?: number, atEnd?: () => void): void {
    this.#timer?.cancel();
    this.#phase = phase;
    this.#timer = atEnd && this.context.clock.setTimer(endsAfterMs ?? 0, atEnd);
  }

  #stay(reason: string): void {
    const { drainTimeoutMs } = this.context.limits;
    const stayMs = Math.min(STAY_MS, drainTimeoutMs);
    this.#enter('staying', stayMs, () => {
      this.#enter('going', drainTimeoutMs - stayMs, () => this.connection.close(0, reason));
      this.#goWhenSettled();
    });
    this.#goWhenSettled();
  }

  #goWhenSettled(): void {
    if (this.#phase !== 'staying' && this.#phase !== 'going') return;
    if (this.#control && !this.#control.settled) return;
    if (this.#control && this.#phase === 'staying' && !this.#control.over) return;
    for (const stream of this.#streams ?? []) if (!stream.settled) return;
    this.#sayGoodbye(0, 'drained', GOODBYE_MS);
  }

  /** Nothing more is taken; what is on its way has that long to reach the client. */
  #sayGoodbye(code: number, reason: string, afterMs: number): void {
    const close = (): void => this.connection.close(code, reason);
    this.#enter('goodbye', afterMs, close);
    if (afterMs === 0) close();
  }

  /** @throws UNAUTHENTICATED */
  #identify(token: string | undefined): Principal {
    const found = this.context.broker.authenticate({ token, certificate: this.#certificate() });
    const principal = found.kind === 'anonymous' ? found : this.#noteWho(found);
    this.#principal = principal;
    if (principal.tokenId === undefined) this.context.credentials.delete(this);
    else this.context.credentials.add(this);
    this.connection.arrivalLimitBytes = Infinity;
    if (this.#phase === 'greeting') this.#enter('open');
    return principal;
  }

  #onStream(stream: Stream): void {
    if (this.#isOver) {
      stream.receive?.stop(0);
      stream.send?.reset(0);
      return;
    }
    if (!this.authenticated && ++this.#strangerStreams > this.context.limits.maxStrangerStreams) {
      this.fail(
        new SluiceError('OVERLOADED', 'more streams than a client may open before it has said who it is'),
      );
      return;
    }
    this.context.counters.streamsOpened += 1;
    if (stream.id === 0 && stream.send && stream.receive) {
      this.#control = new ControlStream(this, stream as BidiStream);
      return;
    }
    this.#streams ??= new Set();
    this.#streams.add(new ClientStream(this, stream));
  }

  #onClose(reason: CloseReason): void {
    if (this.#phase === 'closed') return;
    this.#enter('closed');
    this.context.credentials.delete(this);
    this.subscriptions.abandonAll();
    this.#streams = undefined;
    this.context.log.info('session.closed', {
      session: this.id,
      code: reason.errorCode,
      by: reason.by,
      reason: reason.reason,
      deliveredBytes: this.deliveredBytes,
    });
    this.#drain?.done();
    this.#owner.sessionOver(this);
  }

  /** Not to be known yet is no fault: HELLO may bring a token. But it has to come in time. */
  #expectHello(refusal: SluiceError): void {
    if (refusal.code !== 'UNAUTHENTICATED') {
      this.fail(refusal);
      return;
    }
    const { authenticationTimeoutMs, maxStrangerBytes } = this.context.limits;
    this.connection.arrivalLimitBytes = STRANGER_ARRIVALS * maxStrangerBytes;
    this.#enter('greeting', authenticationTimeoutMs, () =>
      this.fail(new SluiceError('UNAUTHENTICATED', 'no HELLO with a token came in time')),
    );
  }

  /** Tells once who somebody is: HELLO may only repeat what the certificate said. */
  #noteWho(found: Principal): Principal {
    const { remoteAddress } = this.connection;
    const before = this.#principal;
    const principal = { ...found, remoteAddress };
    if (before?.name !== found.name || before.kind !== found.kind)
      this.context.security.note({ kind: 'authenticated', principal, remoteAddress });
    return principal;
  }

  #logRefusal(error: unknown): void {
    const { remoteAddress } = this.connection;
    this.context.security.note({
      kind: 'authentication_failed',
      code: asSluiceError(error).code,
      remoteAddress,
    });
  }

  #certificate(): Buffer | undefined {
    const der = this.connection.peerCertificate;
    return der && Buffer.from(der.buffer, der.byteOffset, der.byteLength);
  }
}

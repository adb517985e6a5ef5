import type { Principal } from '../../broker/ports.ts';
import type { ErrorCode } from '../../kernel/errors.ts';
import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import type { Timer } from '../../kernel/clock.ts';
import type { BidiStream, CloseReason, Connection, Stream } from '../../transport/transport.ts';
import type { ClientSession, Settling } from './client-session.ts';
import { ControlStream } from './control-stream.ts';
import type { GatewayContext } from './gateway-context.ts';
import { PublishStream } from './publish-stream.ts';
import { logSecurity } from './security-log.ts';
import { SubscriptionTable } from './subscription-table.ts';

/** How long a connection that is over stays, so that the last frames (ERROR, END, PRODUCED) reach the client before the close. */
const GOODBYE_MS = 50;
/** How long a client of a draining node has to go by itself, once everything is answered. */
const STAY_MS = 500;

/** What a session tells its gateway. */
export interface SessionOwner {
  /** The connection is gone; called once. */
  sessionOver(session: Session): void;
}

/**
 * One connection of the native protocol: who the client is, its streams, its subscriptions.
 *
 *     control stream (id 0) ── HELLO, REQUEST, raw SUBSCRIBE ──> principal, subscriptions ──> delivery streams
 *     other client streams  ── PRODUCE, PUBLISH ──> broker
 *
 * Whatever a client sends ends at most its own stream or this connection; nothing is thrown to the transport.
 */
export class Session implements ClientSession {
  readonly id: string;
  readonly context: GatewayContext;
  readonly connection: Connection;
  readonly subscriptions: SubscriptionTable;
  /** As the client calls itself; not trusted. */
  clientId = '';
  /** Bytes of frames that have begun to arrive on this connection's streams. */
  partialBytes = 0;
  /** Batch bytes delivered. */
  deliveredBytes = 0;

  readonly #owner: SessionOwner;
  readonly #publishStreams = new Set<Settling>();
  #control: ControlStream | undefined;
  #principal: Principal | undefined;
  #ending = false;
  #closed = false;
  #draining = false;
  /** Whether a drained client may still go by itself, when it has another node. */
  #mayStay = true;
  #whenDrained: Promise<void> | undefined;
  #drained: (() => void) | undefined;
  #timer: Timer | undefined;

  constructor(id: string, context: GatewayContext, connection: Connection, owner: SessionOwner) {
    this.id = id;
    this.context = context;
    this.connection = connection;
    this.#owner = owner;
    this.subscriptions = new SubscriptionTable(context.limits.maxSubscriptions);
  }

  /** Takes the connection over. Must be called while the transport hands it out. */
  start(): void {
    this.connection.onStream = (stream) => this.#onStream(stream);
    this.connection.onClose = (reason) => this.#onClose(reason);
    try {
      this.#principal = this.context.broker.authenticate({ certificate: this.#certificate() });
    } catch (error) {
      this.#expectHello(asSluiceError(error));
    }
  }

  get authenticated(): boolean {
    return this.#principal !== undefined;
  }

  get publishStreamCount(): number {
    return this.#publishStreams.size;
  }

  /**
   * The client, for something it wants the broker to do.
   * @throws UNAUTHENTICATED when it has not said who it is; DRAINING
   */
  requirePrincipal(): Principal {
    if (this.#draining) throw new SluiceError('DRAINING', 'this node is going: connect to another one');
    return this.requireIdentity();
  }

  /** The same for what a draining node still answers. @throws UNAUTHENTICATED */
  requireIdentity(): Principal {
    if (this.#closed) throw new SluiceError('CLOSED', 'the connection is closed');
    if (this.#principal) return this.#principal;
    throw new SluiceError('UNAUTHENTICATED', 'say HELLO with a token first, or show a client certificate');
  }

  /** The client said HELLO. @throws UNAUTHENTICATED */
  authenticate(token: string): Principal {
    const credentials = { token: token === '' ? undefined : token, certificate: this.#certificate() };
    const { remoteAddress } = this.connection;
    const { broker, log } = this.context;
    try {
      this.#principal = broker.authenticate(credentials);
    } catch (error) {
      logSecurity(log, { kind: 'authentication_failed', code: asSluiceError(error).code, remoteAddress });
      throw error;
    }
    if (!this.#draining) this.#timer?.cancel();
    return this.#principal;
  }

  /** Counts a refusal or a stream that ended with an error. */
  countError(code: ErrorCode): void {
    this.context.counters.countError(code);
  }

  /** Ends the connection because of an error: an ERROR frame where there is a control stream, then the close. */
  fail(error: SluiceError): void {
    if (this.#ending || this.#closed) return;
    this.#ending = true;
    this.countError(error.code);
    this.context.log.info('session.failed', {
      session: this.id,
      remote: this.connection.remoteAddress,
      code: error.code,
      reason: error.message,
    });
    this.#timer?.cancel();
    const close = (): void => this.connection.close(error.wire, error.message);
    if (!this.#control) {
      close();
      return;
    }
    this.#control.sayGoodbye(error);
    this.#timer = this.context.clock.setTimer(GOODBYE_MS, close);
  }

  /**
   * Lets the client go in good order: GOAWAY, deliveries end with END(DRAINING), what was received is answered, nothing new is
   * taken. A client that has not gone by itself {@link STAY_MS} later is sent away when it is answered. Resolves when the connection is closed, at the latest after the drain timeout.
   */
  drain(reason: string, alternatives: readonly string[]): Promise<void> {
    if (this.#closed) return Promise.resolve();
    if (this.#whenDrained) return this.#whenDrained;
    this.#draining = true;
    this.#whenDrained = new Promise((resolve) => {
      this.#drained = resolve;
    });
    this.#control?.goAway(reason, alternatives);
    this.subscriptions.endAll('DRAINING', reason);
    if (this.#ending) return this.#whenDrained;
    this.#timer?.cancel();
    const { clock, limits } = this.context;
    this.#timer = clock.setTimer(limits.drainTimeoutMs, () => this.connection.close(0, reason));
    clock.setTimer(Math.min(STAY_MS, limits.drainTimeoutMs), () => {
      this.#mayStay = false;
      this.#closeWhenDrained();
    });
    this.#closeWhenDrained();
    return this.#whenDrained;
  }

  progressed(): void {
    this.#closeWhenDrained();
  }

  publishStreamOver(stream: Settling): void {
    this.#publishStreams.delete(stream);
    this.#closeWhenDrained();
  }

  #closeWhenDrained(): void {
    if (!this.#draining || this.#closed || this.#ending) return;
    if (this.#control && (!this.#control.settled || (this.#mayStay && !this.#control.over))) return;
    for (const stream of this.#publishStreams) if (!stream.settled) return;
    this.#ending = true;
    this.#timer?.cancel();
    this.#timer = this.context.clock.setTimer(GOODBYE_MS, () => this.connection.close(0, 'drained'));
  }

  #onStream(stream: Stream): void {
    if (this.#ending || this.#closed) {
      stream.receive?.stop(0);
      stream.send?.reset(0);
      return;
    }
    this.context.counters.streamsOpened += 1;
    if (stream.id === 0 && stream.send && stream.receive) {
      this.#control = new ControlStream(this, stream as BidiStream);
      return;
    }
    this.#publishStreams.add(new PublishStream(this, stream));
  }

  #onClose(reason: CloseReason): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    this.subscriptions.abandonAll();
    this.#publishStreams.clear();
    this.context.log.info('session.closed', {
      session: this.id,
      code: reason.errorCode,
      by: reason.by,
      reason: reason.reason,
      deliveredBytes: this.deliveredBytes,
    });
    this.#drained?.();
    this.#owner.sessionOver(this);
  }

  /** Not to be known yet is no fault: HELLO may bring a token. But it has to come in time. */
  #expectHello(refusal: SluiceError): void {
    if (refusal.code !== 'UNAUTHENTICATED') {
      this.fail(refusal);
      return;
    }
    this.#timer = this.context.clock.setTimer(this.context.limits.authenticationTimeoutMs, () =>
      this.fail(new SluiceError('UNAUTHENTICATED', 'no HELLO with a token came in time')),
    );
  }

  #certificate(): Buffer | undefined {
    const der = this.connection.peerCertificate;
    return der && Buffer.from(der.buffer, der.byteOffset, der.byteLength);
  }
}

import type { Clock } from '../../kernel/clock.ts';
import { asSluiceError, ERRORS, errorCodeFromWire, SluiceError } from '../../kernel/errors.ts';
import type { GoAway, Hello, Welcome } from '../../gen/sluice/client/v1/control_pb.ts';
import type { BidiStream, CloseReason, Connection, Stream } from '../../transport/transport.ts';
import type { DatagramFrame } from '../../wire/delivery.ts';
import { decodeDatagram } from '../../wire/delivery.ts';
import type { FrameLimits } from '../../wire/frame.ts';
import { CONTROL_MAX_BYTES, FRAME_MAX_BYTES } from '../../wire/frame.ts';
import { INFLATED_MAX_BYTES } from '../../wire/codecs.ts';
import { withDeadline } from '../deadline.ts';
import type { RequestBody, RequestName, ResponseBody } from './pending-requests.ts';
import { ControlChannel } from './control-channel.ts';
import type { DeliverySink } from './delivery-reader.ts';
import { DeliveryReader } from './delivery-reader.ts';

/** Version of the protocol this client speaks. */
const PROTOCOL_VERSION = 1;

/** Bounds the broker announced in WELCOME, bytes. */
export interface SessionLimits {
  readonly maxFrameBytes: number;
  readonly maxBatchBytes: number;
  readonly maxInflatedBytes: number;
  readonly maxKeyBytes: number;
}

/** A node that clients may connect to, as a broker tells of it. */
export interface NodePlace {
  readonly nodeId: string;
  readonly urls: readonly string[];
}

/** A subscription as its session sees it. */
export interface SessionSubscriber extends DeliverySink {
  datagram(frame: DatagramFrame): void;
}

/** What the owner of a session hears; set them right after {@link Session.open}. */
interface SessionEvents {
  /** The broker is draining and names where to go instead. */
  onGoAway: ((alternatives: readonly string[], reason: string) => void) | undefined;
  /** The broker has not answered for seconds, though it was asked; it may yet. @see Connection.onSilent */
  onSilent: (() => void) | undefined;
  /** The connection is gone; called once, after everything of it has been told. */
  onGone: ((error: SluiceError) => void) | undefined;
}

/** One connection on which the broker has said WELCOME. */
export class Session implements SessionEvents {
  onGoAway: ((alternatives: readonly string[], reason: string) => void) | undefined;
  onSilent: (() => void) | undefined;
  onGone: ((error: SluiceError) => void) | undefined;
  /** The broker's node. */
  nodeId = '';
  clusterId = '';
  /** The nodes clients may connect to, as they were when the broker said WELCOME. */
  nodes: readonly NodePlace[] = [];
  /** Who the broker takes this client for. */
  principal = '';
  limits: SessionLimits = {
    maxFrameBytes: FRAME_MAX_BYTES,
    maxBatchBytes: FRAME_MAX_BYTES,
    maxInflatedBytes: INFLATED_MAX_BYTES,
    maxKeyBytes: 64 * 1024,
  };
  /** URL that was dialled. */
  readonly url: string;
  /** True once GOAWAY came: nothing new is started here. */
  draining = false;
  readonly #connection: Connection;
  readonly #control: ControlChannel;
  readonly #subscribers = new Map<number, SessionSubscriber>();
  readonly #welcomed = Promise.withResolvers<undefined>();
  #frameLimits: FrameLimits = { maxFrameBytes: FRAME_MAX_BYTES, maxControlBytes: CONTROL_MAX_BYTES };
  #nextSubscriptionId = 1;
  #users = 0;
  readonly #waiting = new Set<() => boolean>();
  #retired = false;
  #isClosing = false;
  #gone: SluiceError | undefined;
  #failure: SluiceError | undefined;

  private constructor(url: string, connection: Connection, clock: Clock) {
    this.url = url;
    this.#connection = connection;
    connection.onStream = (stream) => this.#stream(stream);
    connection.onDatagram = (bytes) => this.#datagram(bytes);
    connection.isAwaited = () => [...this.#waiting].some((isWaiting) => isWaiting());
    connection.onSilent = () => this.onSilent?.();
    connection.onClose = (reason) => this.#closed(reason);
    this.#control = new ControlChannel(connection.openBidi(), clock, {
      onWelcome: (welcome) => this.#welcome(welcome),
      onGoAway: (goAway) => this.#goAway(goAway),
      onFailed: (error) => this.#controlFailed(error),
    });
  }

  /**
   * Says HELLO on a fresh connection, which it owns from here on, and waits for WELCOME.
   *
   * @throws TIMEOUT, UNAUTHENTICATED, VERSION_MISMATCH, CLOSED; the connection is closed then
   */
  static async open(
    url: string,
    connection: Connection,
    hello: Pick<Hello, 'clientId' | 'clientSoftware' | 'token'>,
    ports: { readonly clock: Clock; readonly timeoutMs: number },
  ): Promise<Session> {
    const session = new Session(url, connection, ports.clock);
    session.#control.hello({ version: PROTOCOL_VERSION, ...hello });
    const onTimeout = (): SluiceError =>
      new SluiceError(
        'TIMEOUT',
        `${url} accepted the connection but sent no WELCOME within ${ports.timeoutMs} ms`,
      );
    try {
      await withDeadline(ports.clock, ports.timeoutMs, session.#welcomed.promise, onTimeout);
    } catch (error) {
      const known = asSluiceError(error);
      connection.close(known.wire, 'no session');
      throw known;
    }
    return session;
  }

  /** Whether the connection still stands. */
  get alive(): boolean {
    return this.#gone === undefined;
  }

  get connection(): Connection {
    return this.#connection;
  }

  /** @throws CLOSED when the connection goes before the answer; what the broker answers as error */
  request<Name extends RequestName>(name: Name, body: RequestBody<Name>): Promise<ResponseBody<Name>> {
    return this.#control.request(name, body);
  }

  /** Sends a frame without answer on the control stream. */
  writeControl(frame: Uint8Array): void {
    this.#control.write(frame);
  }

  ping(): Promise<number> {
    return this.#control.ping();
  }

  /** @throws CLOSED */
  openBidi(): BidiStream {
    return this.#connection.openBidi();
  }

  /** Delivery streams of the returned subscription id go to `subscriber` from now on. */
  addSubscriber(subscriber: SessionSubscriber): number {
    const id = this.#nextSubscriptionId++;
    this.#subscribers.set(id, subscriber);
    return id;
  }

  removeSubscriber(id: number): void {
    this.#subscribers.delete(id);
  }

  /**
   * Somebody still needs this session: it is not closed when it is retired.
   * @param isWaiting whether something is to come from the broker now, for whose silence is looked then
   * @returns lets go; idempotent
   */
  hold(isWaiting?: () => boolean): () => void {
    this.#users += 1;
    if (isWaiting) this.#waiting.add(isWaiting);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#users -= 1;
      if (isWaiting) this.#waiting.delete(isWaiting);
      this.#closeWhenUnused();
    };
  }

  /** Another session has taken over: closes this one once nobody holds it. */
  retire(): void {
    this.#retired = true;
    this.#closeWhenUnused();
  }

  /** Closes the connection. Idempotent. */
  close(errorCode = 0, reason = 'the client closed'): void {
    this.#isClosing = true;
    this.#connection.close(errorCode, reason);
  }

  #closeWhenUnused(): void {
    if (this.#retired && this.#users === 0) this.close();
  }

  #welcome(welcome: Welcome): void {
    if (welcome.version !== PROTOCOL_VERSION) {
      const text = `the broker speaks version ${welcome.version} of the protocol, this client ${PROTOCOL_VERSION}`;
      this.#welcomed.reject(new SluiceError('VERSION_MISMATCH', text));
      return;
    }
    this.nodeId = welcome.nodeId;
    this.clusterId = welcome.clusterId;
    this.nodes = welcome.nodes;
    this.principal = welcome.principal;
    const told = welcome.limits;
    if (told !== undefined) {
      this.limits = {
        maxFrameBytes: told.maxFrameBytes || this.limits.maxFrameBytes,
        maxBatchBytes: told.maxBatchBytes || this.limits.maxBatchBytes,
        maxInflatedBytes: told.maxInflatedBytes || this.limits.maxInflatedBytes,
        maxKeyBytes: told.maxKeyBytes || this.limits.maxKeyBytes,
      };
    }
    this.#frameLimits = { maxFrameBytes: this.limits.maxFrameBytes, maxControlBytes: CONTROL_MAX_BYTES };
    this.#welcomed.resolve(undefined);
  }

  #goAway(goAway: GoAway): void {
    if (this.draining) return;
    this.draining = true;
    this.onGoAway?.(goAway.alternatives, goAway.reason);
  }

  #controlFailed(error: SluiceError): void {
    // What is closed here ends its streams, which is no failure of theirs.
    if (this.#isClosing) return;
    this.#failure ??= error;
    this.#welcomed.reject(error);
    this.#connection.close(ERRORS.CLOSED.wire, 'the control stream is over');
  }

  #stream(stream: Stream): void {
    if (stream.receive === undefined) return;
    if (stream.send !== undefined) {
      this.close(ERRORS.PROTOCOL_ERROR.wire, 'a broker opens no bidirectional stream');
      return;
    }
    new DeliveryReader(
      stream.receive,
      this.#frameLimits,
      (id) => this.#subscribers.get(id),
      (error) => this.close(error.wire, error.message),
    );
  }

  #datagram(bytes: Buffer): void {
    let frame: DatagramFrame;
    try {
      frame = decodeDatagram(bytes);
    } catch {
      return; // unreliable by nature: one that makes no sense is one that did not come
    }
    this.#subscribers.get(frame.subscription)?.datagram(frame);
  }

  #closed(reason: CloseReason): void {
    const code = reason.errorCode === 0 ? 'CLOSED' : errorCodeFromWire(reason.errorCode);
    const who = { local: 'this client', peer: 'the broker', transport: 'the network' }[reason.by];
    const told = new SluiceError(
      code,
      `${who} ended the connection to ${this.url}: ${reason.reason || code}`,
    );
    // When the control stream failed first, this client closed the connection because of it: that is the reason to tell.
    const error = reason.by === 'local' ? (this.#failure ?? told) : told;
    this.#gone = error;
    this.#control.fail(error);
    this.#welcomed.reject(error);
    this.#subscribers.clear();
    this.onGone?.(error);
  }
}

import { GoAwaySchema, HelloSchema, WelcomeSchema } from '../../gen/sluice/client/v1/control_pb.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { BidiStream } from '../../transport/transport.ts';
import { decodeControl, encodeControl } from '../../wire/control.ts';
import { decodeCredit } from '../../wire/delivery.ts';
import { encodeFrame, FRAME, frameName, RESPONSE_MAX_BYTES } from '../../wire/frame.ts';
import type { ClientSession, ControlChannel, Settling } from './client-session.ts';
import { errorFrame } from './error-frame.ts';
import { URGENCY } from './limits.ts';
import { rawPublish } from './raw-publish.ts';
import { rawSubscribe, rawUnsubscribe } from './raw-subscribe.ts';
import { answerRequest } from './requests/answer-request.ts';
import { nodeToWire } from './requests/convert.ts';
import type { StreamInputOwner } from './stream-input.ts';
import { StreamInput } from './stream-input.ts';

/** Version of the protocol this gateway speaks. */
const PROTOCOL_VERSION = 1;
const CLIENT_ID_MAX_BYTES = 256;
/** Requests of one connection that are worked on at once; each may have an answer of 4 MiB. Those behind are not read yet. */
const MAX_RUNNING_TASKS = 16;

type FrameHandler = (control: ControlStream, topic: string, payload: Buffer) => void;

/**
 * The first stream of a client: HELLO and requests in batch mode, SUBSCRIBE and UNSUBSCRIBE in raw mode.
 *
 * It carries the connection: an error on it ends the connection, while a refused request only gets an ERROR.
 *
 * @see docs/protocol.md sections 4 and 5
 */
export class ControlStream implements StreamInputOwner, ControlChannel, Settling {
  readonly session: ClientSession;
  readonly #stream: BidiStream;
  readonly #input: StreamInput;
  /** Requests and raw publishes that are not answered. */
  #inFlight = 0;
  #running = 0;
  #framesSeen = 0;
  #helloSeen = false;
  /** Only who waits for something needs one: thousands are idle. */
  #asking: AbortController | undefined;

  constructor(session: ClientSession, stream: BidiStream) {
    this.session = session;
    this.#stream = stream;
    stream.send.setPriority(URGENCY.CONTROL, false);
    stream.send.onWritable = () => this.#wroteOut();
    stream.send.onStopped = () => this.#gone();
    this.#input = new StreamInput(session.context, session, stream.receive, this);
  }

  /** Whether the client will ask nothing more. */
  get over(): boolean {
    return this.#input.over;
  }

  /** Whether everything that was asked is answered. */
  get settled(): boolean {
    return this.#inFlight === 0 && !this.#input.holding && this.#stream.send.bufferedBytes === 0;
  }

  get helloSeen(): boolean {
    return this.#helloSeen;
  }

  get signal(): AbortSignal {
    this.#asking ??= new AbortController();
    return this.#asking.signal;
  }

  get maxResponseBytes(): number {
    return RESPONSE_MAX_BYTES;
  }

  get congested(): boolean {
    const { maxAnswerBytes, maxInFlight } = this.session.context.limits;
    return (
      this.#running >= MAX_RUNNING_TASKS ||
      this.#inFlight > maxInFlight ||
      this.#stream.send.bufferedBytes > maxAnswerBytes
    );
  }

  /** Writes a whole frame. */
  write(frame: Buffer): void {
    this.#stream.send.write(frame);
  }

  run(task: () => Promise<void>): void {
    this.asked();
    this.#running += 1;
    void task().finally(() => {
      this.#running -= 1;
      this.answered();
    });
  }

  asked(): void {
    this.#inFlight += 1;
  }

  answered(): void {
    this.#inFlight -= 1;
    this.#input.recheck();
    this.session.progressed();
  }

  goAway(reason: string, alternatives: readonly string[]): void {
    this.write(encodeControl(FRAME.GOAWAY, GoAwaySchema, { reason, alternatives: [...alternatives] }));
  }

  /** The last word on a connection that ends because of an error. */
  sayGoodbye(error: SluiceError): void {
    this.write(errorFrame(0, error));
    this.#stream.send.end();
    this.#asking?.abort();
    this.#input.stop(error.wire);
  }

  onFrame(type: number, topic: string, payload: Buffer): void {
    const handler = HANDLERS.get(type);
    if (!handler) {
      throw new SluiceError('PROTOCOL_ERROR', `${frameName(type)} does not belong on the control stream`);
    }
    this.#framesSeen += 1;
    handler(this, topic, payload);
  }

  onTurnEnd(): void {
    // Answers are written as they come: the transport sends those of one tick together.
  }

  onEnd(): void {
    this.session.progressed();
  }

  onReset(): void {
    this.#gone();
  }

  onFailure(error: SluiceError): void {
    this.session.fail(error);
  }

  hello(payload: Buffer): void {
    if (this.#framesSeen > 1) throw new SluiceError('PROTOCOL_ERROR', 'HELLO comes once and first');
    const hello = decodeControl(HelloSchema, payload);
    if (hello.version !== PROTOCOL_VERSION) {
      throw new SluiceError(
        'VERSION_MISMATCH',
        `protocol version ${hello.version}; this broker speaks ${PROTOCOL_VERSION}`,
      );
    }
    if (Buffer.byteLength(hello.clientId) > CLIENT_ID_MAX_BYTES) {
      throw new SluiceError('INVALID_ARGUMENT', `client ids have at most ${CLIENT_ID_MAX_BYTES} bytes`);
    }
    const principal = this.session.authenticate(hello.token);
    this.session.clientId = hello.clientId;
    this.#helloSeen = true;
    this.write(this.#welcome(principal.name));
    this.session.context.log.info('session.opened', {
      session: this.session.id,
      remote: this.session.connection.remoteAddress,
      transport: this.session.connection.scheme,
      principal: principal.name,
      clientId: hello.clientId,
      software: hello.clientSoftware.slice(0, CLIENT_ID_MAX_BYTES),
    });
  }

  #welcome(principal: string): Buffer {
    const { limits, node } = this.session.context;
    return encodeControl(FRAME.WELCOME, WelcomeSchema, {
      version: PROTOCOL_VERSION,
      clusterId: node.clusterId,
      nodeId: node.nodeId,
      software: node.software,
      principal,
      limits: {
        maxFrameBytes: limits.maxFrameBytes,
        maxBatchBytes: limits.maxBatchBytes,
        maxInflatedBytes: limits.maxInflatedBytes,
        maxKeyBytes: limits.maxKeyBytes,
        maxSubscriptions: limits.maxSubscriptions,
      },
      nodes: node.nodes().map(nodeToWire),
    });
  }

  #wroteOut(): void {
    this.#input.recheck();
    this.session.progressed();
  }

  /** The client gave up its control stream, unless it is only that the whole connection is going: then the close follows at once. */
  #gone(): void {
    this.#asking?.abort();
    queueMicrotask(() =>
      this.session.fail(
        new SluiceError('PROTOCOL_ERROR', 'the control stream lasts as long as the connection'),
      ),
    );
  }
}

/** What a client may send on its control stream. */
const HANDLERS: ReadonlyMap<number, FrameHandler> = new Map<number, FrameHandler>([
  [FRAME.HELLO, (control, _topic, payload) => control.hello(payload)],
  [FRAME.REQUEST, (control, _topic, payload) => answerRequest(control, payload)],
  [FRAME.PING, (control, _topic, payload) => control.write(encodeFrame(FRAME.PONG, '', payload))],
  [FRAME.CREDIT, (control, _topic, payload) => grantCredit(control, payload)],
  [FRAME.SUBSCRIBE, (control, filter, payload) => rawSubscribe(control, filter, payload)],
  [FRAME.UNSUBSCRIBE, (control, filter, payload) => rawUnsubscribe(control, filter, payload)],
  [FRAME.PUBLISH, (control, address, payload) => publish(control, address, payload)],
]);

/** Credit for a subscription that is just ending is no fault of the client. */
function grantCredit(control: ControlChannel, payload: Buffer): void {
  const { subscription, streams } = decodeCredit(payload);
  control.session.subscriptions.byId(subscription)?.grant(streams);
}

function publish(control: ControlChannel, address: string, value: Buffer): void {
  control.asked();
  rawPublish(control.session, address, value, (refusal) => {
    if (refusal) {
      control.session.countError(refusal.code);
      control.write(errorFrame(0, refusal));
    }
    control.answered();
  });
}

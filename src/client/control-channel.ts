import type { Clock } from '../kernel/clock.ts';
import { asSluiceError, errorCodeFromWire, SluiceError } from '../kernel/errors.ts';
import type { GoAway, Hello, Request, Response, Welcome } from '../gen/sluice/client/v1/control_pb.ts';
import {
  ErrorSchema,
  GoAwaySchema,
  HelloSchema,
  RequestSchema,
  ResponseSchema,
  WelcomeSchema,
} from '../gen/sluice/client/v1/control_pb.ts';
import type { BidiStream } from '../transport/transport.ts';
import { decodeControl, encodeControl } from '../wire/control.ts';
import { CONTROL_MAX_BYTES, encodeFrame, FRAME, frameName } from '../wire/frame.ts';
import { FrameReader } from '../wire/frame-reader.ts';
import type { MessageInitShape } from '@bufbuild/protobuf';

/** Names of the requests. */
export type RequestName = Exclude<Request['body']['case'], undefined>;
type RequestInit = Exclude<
  Exclude<MessageInitShape<typeof RequestSchema>['body'], undefined>,
  { case?: undefined }
>;

/** What a request of that name carries. */
export type RequestBody<Name extends RequestName> = Extract<RequestInit, { case: Name }>['value'];
/** What its answer carries. */
export type ResponseBody<Name extends RequestName> = Extract<Response['body'], { case: Name }>['value'];

/** What its owner hears of a control channel. */
export interface ControlEvents {
  onWelcome(welcome: Welcome): void;
  onGoAway(goAway: GoAway): void;
  /** The broker refused the connection, spoke nonsense or ended the stream; called once. */
  onFailed(error: SluiceError): void;
}

interface PendingRequest {
  readonly name: RequestName;
  resolve(body: unknown): void;
  reject(error: SluiceError): void;
}

const PING_BYTES = 8;

/** The control stream of one connection, docs/protocol.md section 5: HELLO first, then requests by correlation id. */
export class ControlChannel {
  readonly #stream: BidiStream;
  readonly #events: ControlEvents;
  readonly #clock: Clock;
  readonly #reader: FrameReader;
  readonly #pending = new Map<number, PendingRequest>();
  readonly #pings = new Map<
    number,
    { readonly sentMs: number; resolve(ms: number): void; reject(error: SluiceError): void }
  >();
  #nextId = 1;
  #failure: SluiceError | undefined;

  constructor(stream: BidiStream, clock: Clock, events: ControlEvents) {
    this.#stream = stream;
    this.#events = events;
    this.#clock = clock;
    const limits = { maxFrameBytes: CONTROL_MAX_BYTES, maxControlBytes: CONTROL_MAX_BYTES };
    this.#reader = new FrameReader(limits, (type, _topic, payload) => this.#frame(type, payload));
    stream.receive.onData = (chunk) => this.#guard(() => this.#reader.push(chunk));
    stream.receive.onEnd = () => this.fail(new SluiceError('CLOSED', 'the broker ended the control stream'));
    stream.receive.onReset = (code) =>
      this.fail(
        new SluiceError(
          code === 0 ? 'CLOSED' : errorCodeFromWire(code),
          'the broker reset the control stream',
        ),
      );
  }

  /** Requests that wait for their answer. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  hello(hello: MessageInitShape<typeof HelloSchema> & Partial<Hello>): void {
    this.#stream.send.write(encodeControl(FRAME.HELLO, HelloSchema, hello));
  }

  /**
   * Sends a request.
   * @throws CLOSED when the connection goes before the answer; whatever the broker answers as error
   */
  request<Name extends RequestName>(name: Name, body: RequestBody<Name>): Promise<ResponseBody<Name>> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) throw this.#failure;
      const correlationId = this.#takeId();
      const frame = encodeControl(FRAME.REQUEST, RequestSchema, {
        correlationId,
        body: { case: name, value: body } as RequestInit,
      });
      this.#pending.set(correlationId, { name, resolve: resolve, reject });
      this.#stream.send.write(frame);
    });
  }

  /** Writes a whole frame that has no answer, such as CREDIT. */
  write(frame: Uint8Array): void {
    if (this.#failure === undefined) this.#stream.send.write(frame);
  }

  /** Measures a round trip, milliseconds. @throws CLOSED */
  ping(): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) throw this.#failure;
      const id = this.#takeId();
      const payload = Buffer.alloc(PING_BYTES);
      payload.writeUInt32BE(id, 4);
      this.#pings.set(id, { sentMs: this.#clock.monotonicMs(), resolve, reject });
      this.#stream.send.write(encodeFrame(FRAME.PING, '', payload));
    });
  }

  /** Nothing more comes: everything that waits is rejected. Idempotent. */
  fail(error: SluiceError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#reader.stop();
    for (const request of this.#pending.values()) request.reject(error);
    for (const ping of this.#pings.values()) ping.reject(error);
    this.#pending.clear();
    this.#pings.clear();
    this.#events.onFailed(error);
  }

  #takeId(): number {
    const id = this.#nextId;
    this.#nextId = id === 0xffff_ffff ? 1 : id + 1;
    return id;
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.fail(asSluiceError(error, 'PROTOCOL_ERROR'));
    }
  }

  #frame(type: number, payload: Buffer): void {
    switch (type) {
      case FRAME.WELCOME: {
        this.#events.onWelcome(decodeControl(WelcomeSchema, payload));
        return;
      }
      case FRAME.RESPONSE: {
        this.#response(decodeControl(ResponseSchema, payload));
        return;
      }
      case FRAME.ERROR: {
        this.#error(payload);
        return;
      }
      case FRAME.GOAWAY: {
        this.#events.onGoAway(decodeControl(GoAwaySchema, payload));
        return;
      }
      case FRAME.PING:
        this.#stream.send.write(encodeFrame(FRAME.PONG, '', payload));
        return;
      case FRAME.PONG: {
        this.#pong(payload);
        return;
      }
      default:
        throw new SluiceError('PROTOCOL_ERROR', `${frameName(type)} makes no sense on the control stream`);
    }
  }

  #response(response: Response): void {
    const request = this.#pending.get(response.correlationId);
    if (request === undefined) return;
    this.#pending.delete(response.correlationId);
    if (response.body.case === request.name) request.resolve(response.body.value);
    else
      request.reject(
        new SluiceError(
          'PROTOCOL_ERROR',
          `the broker answered ${request.name} with ${response.body.case ?? 'nothing'}`,
        ),
      );
  }

  #error(payload: Buffer): void {
    const message = decodeControl(ErrorSchema, payload);
    const error = new SluiceError(errorCodeFromWire(message.code), message.message);
    if (message.correlationId === 0) {
      this.fail(error);
      return;
    }
    const request = this.#pending.get(message.correlationId);
    this.#pending.delete(message.correlationId);
    request?.reject(error);
  }

  #pong(payload: Buffer): void {
    const id = payload.length === PING_BYTES ? payload.readUInt32BE(4) : 0;
    const ping = this.#pings.get(id);
    this.#pings.delete(id);
    ping?.resolve(this.#clock.monotonicMs() - ping.sentMs);
  }
}

import type { Clock } from '../../kernel/clock.ts';
import { asSluiceError, errorCodeFromWire, SluiceError } from '../../kernel/errors.ts';
import type { GoAway, Hello, Welcome } from '../../gen/sluice/client/v1/control_pb.ts';
import { GoAwaySchema, HelloSchema, WelcomeSchema } from '../../gen/sluice/client/v1/control_pb.ts';
import type { BidiStream } from '../../transport/transport.ts';
import { decodeControl, encodeControl } from '../../wire/control.ts';
import { CONTROL_MAX_BYTES, encodeFrame, FRAME, frameName } from '../../wire/frame.ts';
import { FrameReader } from '../../wire/frame-reader.ts';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { RequestBody, RequestName, ResponseBody } from './pending-requests.ts';
import { PendingRequests } from './pending-requests.ts';

/** What its owner hears of a control channel. */
export interface ControlEvents {
  onWelcome(welcome: Welcome): void;
  onGoAway(goAway: GoAway): void;
  /** The broker refused the connection, spoke nonsense or ended the stream; called once. */
  onFailed(error: SluiceError): void;
}

const PING_BYTES = 8;

/** The control stream of one connection, docs/protocol.md section 5: HELLO first, then requests by correlation id. */
export class ControlChannel {
  readonly #stream: BidiStream;
  readonly #events: ControlEvents;
  readonly #clock: Clock;
  readonly #reader: FrameReader;
  readonly #pending = new PendingRequests();
  readonly #pings = new Map<
    number,
    { readonly sentMs: number; resolve(ms: number): void; reject(error: SluiceError): void }
  >();
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
    return this.#pending.count;
  }

  hello(hello: MessageInitShape<typeof HelloSchema> & Partial<Hello>): void {
    this.#stream.send.write(encodeControl(FRAME.HELLO, HelloSchema, hello));
  }

  /**
   * Sends a request.
   * @throws CLOSED when the connection goes before the answer; whatever the broker answers as error
   */
  request<Name extends RequestName>(name: Name, body: RequestBody<Name>): Promise<ResponseBody<Name>> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return this.#pending.add(name, body, (frame) => this.#stream.send.write(frame));
  }

  /** Writes a whole frame that has no answer, such as CREDIT. */
  write(frame: Uint8Array): void {
    if (this.#failure === undefined) this.#stream.send.write(frame);
  }

  /** Measures a round trip, milliseconds. @throws CLOSED */
  ping(): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) throw this.#failure;
      const id = this.#pending.takeId();
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
    this.#pending.rejectAll(error);
    for (const ping of this.#pings.values()) ping.reject(error);
    this.#pings.clear();
    this.#events.onFailed(error);
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
        this.#pending.onResponse(payload);
        return;
      }
      case FRAME.ERROR: {
        const error = this.#pending.onError(payload);
        if (error !== undefined) this.fail(error);
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

  #pong(payload: Buffer): void {
    const id = payload.length === PING_BYTES ? payload.readUInt32BE(4) : 0;
    const ping = this.#pings.get(id);
    this.#pings.delete(id);
    ping?.resolve(this.#clock.monotonicMs() - ping.sentMs);
  }
}

import { asSluiceError, ERRORS, errorCodeFromWire, SluiceError } from '../kernel/errors.ts';
import type { BidiStream } from '../transport/transport.ts';
import { CONTROL_MAX_BYTES, FRAME, frameName } from '../wire/frame.ts';
import { FrameReader } from '../wire/frame-reader.ts';
import type { RequestBody, RequestName, ResponseBody } from './pending-requests.ts';
import { PendingRequests } from './pending-requests.ts';

/**
 * A stream of requests besides the control stream, docs/protocol.md section 5: what asks long, or is answered with records, holds
 * nobody else up. Answers may be as large as a frame of records.
 */
export class RequestStream {
  readonly #stream: BidiStream;
  readonly #onIdle: () => void;
  readonly #reader: FrameReader;
  readonly #pending = new PendingRequests();
  #failure: SluiceError | undefined;
  #finished = false;

  /**
   * @param maxFrameBytes what the broker announced
   * @param onIdle called when the last request that waited was answered, and when the stream is over
   */
  constructor(stream: BidiStream, maxFrameBytes: number, onIdle: () => void) {
    this.#stream = stream;
    this.#onIdle = onIdle;
    const limits = { maxFrameBytes, maxControlBytes: CONTROL_MAX_BYTES, maxResponseBytes: maxFrameBytes };
    this.#reader = new FrameReader(limits, (type, _topic, payload) => this.#frame(type, payload));
    stream.send.onStopped = (code) => this.#ended(code, 'stopped');
    stream.receive.onData = (chunk) => this.#data(chunk);
    stream.receive.onEnd = () => this.#ended(0, 'ended');
    stream.receive.onReset = (code) => this.#ended(code, 'reset');
  }

  /** Whether more may be asked on it. */
  get open(): boolean {
    return this.#failure === undefined && !this.#finished;
  }

  /** Whether somebody waits for an answer. */
  get busy(): boolean {
    return this.#pending.count > 0;
  }

  /** @throws CLOSED when the stream goes before the answer; what the broker answers as error */
  request<Name extends RequestName>(name: Name, body: RequestBody<Name>): Promise<ResponseBody<Name>> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return this.#pending.add(name, body, (frame) => this.#stream.send.write(frame));
  }

  /** Asks nothing more: the broker gives up what waits there for something to happen; what it has answered still comes. Idempotent. */
  finish(): void {
    if (!this.open) return;
    this.#finished = true;
    this.#stream.send.end();
  }

  #data(chunk: Buffer): void {
    try {
      this.#reader.push(chunk);
    } catch (error) {
      const known = asSluiceError(error, 'PROTOCOL_ERROR');
      this.#stream.send.reset(known.wire);
      this.#stream.receive.stop(known.wire);
      this.#end(known);
    }
  }

  #frame(type: number, payload: Buffer): void {
    if (type === FRAME.RESPONSE) this.#pending.onResponse(payload);
    else if (type === FRAME.ERROR) {
      const error = this.#pending.onError(payload);
      if (error !== undefined) this.#end(error);
    } else {
      throw new SluiceError('PROTOCOL_ERROR', `${frameName(type)} makes no sense on a request stream`);
    }
    if (!this.busy) this.#onIdle();
  }

  #ended(code: number, how: string): void {
    const known = code === 0 || code === ERRORS.CLOSED.wire ? 'CLOSED' : errorCodeFromWire(code);
    this.#end(new SluiceError(known, `the broker ${how} the request stream`));
  }

  #end(error: SluiceError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#reader.stop();
    this.#pending.rejectAll(error);
    this.#onIdle();
  }
}

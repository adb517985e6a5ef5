import { SluiceError } from '../../kernel/errors.ts';
import type { BidiStream, SendStream } from '../../transport/transport.ts';
import { CONTROL_MAX_BYTES, FRAME, frameName } from '../../wire/frame.ts';
import { AnswerFrames } from './answer-frames.ts';
import type { RequestBody, RequestName, ResponseBody } from './pending-requests.ts';
import { PendingRequests } from './pending-requests.ts';

/**
 * A stream of requests besides the control stream, docs/protocol.md section 5: what asks long, or is answered with records, holds
 * nobody else up. Answers may be as large as a frame of records.
 */
export class RequestStream {
  readonly #send: SendStream;
  readonly #onIdle: () => void;
  readonly #answers: AnswerFrames;
  readonly #pending = new PendingRequests();
  #finished = false;

  /**
   * @param maxFrameBytes what the broker announced
   * @param onIdle called when the last request that waited was answered, and when the stream is over
   */
  constructor(stream: BidiStream, maxFrameBytes: number, onIdle: () => void) {
    this.#send = stream.send;
    this.#onIdle = onIdle;
    const limits = { maxFrameBytes, maxControlBytes: CONTROL_MAX_BYTES, maxResponseBytes: maxFrameBytes };
    this.#answers = new AnswerFrames(stream, 'request stream', limits, {
      frame: (type, payload) => this.#frame(type, payload),
      over: (error) => this.#ended(error),
    });
  }

  /** Whether more may be asked on it. */
  get open(): boolean {
    return this.#answers.failure === undefined && !this.#finished;
  }

  /** Whether somebody waits for an answer. */
  get busy(): boolean {
    return this.#pending.count > 0;
  }

  /** @throws CLOSED when the stream goes before the answer; what the broker answers as error */
  request<Name extends RequestName>(name: Name, body: RequestBody<Name>): Promise<ResponseBody<Name>> {
    const { failure } = this.#answers;
    if (failure !== undefined) return Promise.reject(failure);
    return this.#pending.add(name, body, (frame) => this.#send.write(frame));
  }

  /** Asks nothing more: the broker gives up what waits there for something to happen; what it has answered still comes. Idempotent. */
  finish(): void {
    if (!this.open) return;
    this.#finished = true;
    this.#send.end();
  }

  #frame(type: number, payload: Buffer): void {
    if (type === FRAME.RESPONSE) this.#pending.onResponse(payload);
    else if (type === FRAME.ERROR) {
      const error = this.#pending.onError(payload);
      if (error !== undefined) this.#answers.end(error);
    } else {
      throw new SluiceError('PROTOCOL_ERROR', `${frameName(type)} makes no sense on a request stream`);
    }
    if (!this.busy) this.#onIdle();
  }

  #ended(error: SluiceError): void {
    this.#pending.rejectAll(error);
    this.#onIdle();
  }
}

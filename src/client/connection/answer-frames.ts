import { asSluiceError, ERRORS, errorCodeFromWire, SluiceError } from '../../kernel/errors.ts';
import type { BidiStream } from '../../transport/transport.ts';
import type { FrameLimits } from '../../wire/frame.ts';
import { FrameReader } from '../../wire/frame-reader.ts';

/** Who reads {@link AnswerFrames}. */
export interface FrameTaker {
  /** One frame; the taker owns `payload`. What it throws ends the stream. */
  frame(type: number, payload: Buffer): void;
  /** No more frames come; called once. */
  over(error: SluiceError): void;
}

/** What the broker sends on a stream that the client opened, until one of them ends, resets or breaks it. */
export class AnswerFrames {
  readonly #stream: BidiStream;
  readonly #taker: FrameTaker;
  readonly #reader: FrameReader;
  #failure: SluiceError | undefined;

  /** @param name what the stream is called in errors */
  constructor(stream: BidiStream, name: string, limits: FrameLimits, taker: FrameTaker) {
    this.#stream = stream;
    this.#taker = taker;
    this.#reader = new FrameReader(limits, (type, _topic, payload) => taker.frame(type, payload));
    stream.send.onStopped = (code) => this.#ended(code, `the broker stopped the ${name}`);
    stream.receive.onData = (chunk) => this.#data(chunk);
    stream.receive.onEnd = () => this.#ended(0, `the broker ended the ${name}`);
    stream.receive.onReset = (code) => this.#ended(code, `the broker reset the ${name}`);
  }

  /** Why no more frames come; undefined: they do. */
  get failure(): SluiceError | undefined {
    return this.#failure;
  }

  /** Takes no more frames, because of what one has said. Idempotent. */
  end(error: SluiceError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#reader.stop();
    this.#taker.over(error);
  }

  #data(chunk: Buffer): void {
    try {
      this.#reader.push(chunk);
    } catch (error) {
      const known = asSluiceError(error, 'PROTOCOL_ERROR');
      this.#stream.send.reset(known.wire);
      this.#stream.receive.stop(known.wire);
      this.end(known);
    }
  }

  #ended(code: number, what: string): void {
    const known = code === 0 || code === ERRORS.CLOSED.wire ? 'CLOSED' : errorCodeFromWire(code);
    this.end(new SluiceError(known, what));
  }
}

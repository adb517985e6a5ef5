import type { Clock, Timer } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { MessageStream } from '../transport/grpc/message-stream.ts';
import type { ReadAnswer, ReadRequest } from './ports.ts';
import type { ReadOutcome, ReadQuestion } from './read-messages.ts';

interface Call {
  readonly resolve: (answer: ReadAnswer) => void;
  readonly reject: (error: SluiceError) => void;
  readonly timer: Timer;
}

/** The asking end of a Read stream. */
export class ReadCalls {
  readonly #stream: MessageStream<ReadQuestion, ReadOutcome>;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #calls = new Map<number, Call>();
  #correlation = 0;

  /**
   * @param stream its callbacks are set here
   * @param timeoutMs how long an answer may take above the time that its request lets the other node wait
   * @param onEnd the stream has ended
   */
  constructor(
    stream: MessageStream<ReadQuestion, ReadOutcome>,
    clock: Clock,
    timeoutMs: number,
    onEnd: (error: SluiceError) => void,
  ) {
    this.#stream = stream;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    stream.onMessage = ({ correlation, answer }) => this.#take(correlation, answer);
    stream.onEnd = (error) =>
      onEnd(error ?? new SluiceError('UNAVAILABLE', 'the other node has ended the stream'));
  }

  /** @throws what the other node answers; UNAVAILABLE, TIMEOUT */
  read(request: ReadRequest): Promise<ReadAnswer> {
    const correlation = this.#correlation;
    this.#correlation = (correlation + 1) >>> 0;
    return new Promise((resolve, reject: (error: SluiceError) => void) => {
      const timer = this.#clock.setTimer(request.maxWaitMs + this.#timeoutMs, () =>
        this.#take(correlation, new SluiceError('TIMEOUT', 'the other node did not answer a read in time')),
      );
      this.#calls.set(correlation, { resolve, reject, timer });
      this.#stream.write({ correlation, request });
    });
  }

  /** Ends the stream and fails what is not answered. */
  fail(error: SluiceError): void {
    this.#stream.end(error);
    for (const correlation of [...this.#calls.keys()]) this.#take(correlation, error);
  }

  #take(correlation: number, answer: ReadAnswer | SluiceError): void {
    const call = this.#calls.get(correlation);
    if (!call) return; // given up before
    this.#calls.delete(correlation);
    call.timer.cancel();
    if (answer instanceof SluiceError) call.reject(answer);
    else call.resolve(answer);
  }
}

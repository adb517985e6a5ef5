import type { Clock, Timer } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { FetchRequest, FetchResponse } from '../partition/replication.ts';
import type { MessageStream } from '../transport/grpc/message-stream.ts';

/** Requests that are on their way at once; more wait here for their turn. @see FetchRequest */
const OUTSTANDING_MAX = 2;

type FetchStream = MessageStream<FetchRequest, FetchResponse>;

interface Call {
  readonly request: FetchRequest;
  readonly resolve: (response: FetchResponse) => void;
  readonly reject: (error: SluiceError) => void;
  timer: Timer | undefined;
}

/** The follower's end of a Replicate stream: the n-th answer belongs to the n-th request. */
export class FetchCalls {
  readonly #open: () => FetchStream;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #onEnd: (error: SluiceError) => void;
  #stream: FetchStream | undefined;
  #outstanding: Call[] = [];
  #waiting: Call[] = [];

  /**
   * @param open opens a stream; its callbacks are set here
   * @param timeoutMs how long an answer may take above the time that its request lets the leader wait
   * @param onEnd the stream has ended other than by a timeout
   */
  constructor(open: () => FetchStream, clock: Clock, timeoutMs: number, onEnd: (error: SluiceError) => void) {
    this.#open = open;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#onEnd = onEnd;
  }

  /** @throws UNAVAILABLE, TIMEOUT */
  fetch(request: FetchRequest): Promise<FetchResponse> {
    return new Promise((resolve, reject: (error: SluiceError) => void) => {
      this.#waiting.push({ request, resolve, reject, timer: undefined });
      this.#send();
    });
  }

  /** Ends the stream and fails what is not answered; the next request begins another one. */
  fail(error: SluiceError): void {
    this.#stream?.end(error);
    this.#stream = undefined;
    const calls = [...this.#outstanding, ...this.#waiting];
    this.#outstanding = [];
    this.#waiting = [];
    for (const call of calls) {
      call.timer?.cancel();
      call.reject(error);
    }
  }

  #send(): void {
    while (this.#outstanding.length < OUTSTANDING_MAX) {
      const call = this.#waiting.shift();
      if (!call) return;
      this.#outstanding.push(call);
      call.timer = this.#clock.setTimer(call.request.maxWaitMs + this.#timeoutMs, () => this.#giveUp());
      this.#stream ??= this.#begin();
      this.#stream.write(call.request);
    }
  }

  #begin(): FetchStream {
    const stream = this.#open();
    stream.onMessage = (response) => this.#take(stream, response);
    stream.onEnd = (error) => {
      if (this.#stream !== stream) return;
      this.#onEnd(error ?? new SluiceError('UNAVAILABLE', 'the other node has ended the stream'));
    };
    return stream;
  }

  #take(stream: FetchStream, response: FetchResponse): void {
    if (this.#stream !== stream) return;
    const call = this.#outstanding.shift();
    if (call?.request.sequence !== response.sequence) {
      if (call) this.#outstanding.unshift(call);
      this.#onEnd(
        new SluiceError(
          'UNAVAILABLE',
          `an answer came to request ${response.sequence}, which was not its turn`,
        ),
      );
      return;
    }
    call.timer?.cancel();
    call.resolve(response);
    this.#send();
  }

  /** The leader lets one request wait for too long: the stream begins anew, and with it the session. */
  #giveUp(): void {
    this.fail(new SluiceError('TIMEOUT', 'the leader did not answer a fetch in time'));
  }
}

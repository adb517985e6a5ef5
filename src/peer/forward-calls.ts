import type { Clock, Timer } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { MessageStream } from '../transport/grpc/message-stream.ts';
import type { ForwardAnswer, ForwardRequest } from './forward-messages.ts';
import { correlationAfter } from './forward-messages.ts';
import type { ForwardCallback, ForwardedPublish } from './ports.ts';

/** Bytes of batches in one message; one batch goes even when it alone is larger. */
const MESSAGE_MAX_BYTES = 1024 * 1024;
/** What a publish is counted with besides its batch, so that many small ones are bounded too. */
const OVERHEAD_BYTES = 200;

/** How much a node may be asked to do at once. */
export interface ForwardLimits {
  readonly forwardMaxBytes: number;
  readonly forwardTimeoutMs: number;
}

/** Counts over all connections of a node. */
export interface ForwardCounters {
  publishes: number;
  /** Of their batches. */
  bytes: number;
  messages: number;
  overloaded: number;
}

interface Unsent {
  readonly publish: ForwardedPublish;
  readonly call: Call;
}

interface Call {
  readonly bytes: number;
  readonly dueMs: number;
  readonly done: ForwardCallback;
}

/**
 * The sender's end of a Forward stream. Publishes of one turn of the event loop share a message, whosever they are; while the connection is
 * behind they gather. Those of one partition arrive in the order of the calls.
 */
export class ForwardCalls {
  readonly #stream: MessageStream<ForwardRequest, readonly ForwardAnswer[]>;
  readonly #clock: Clock;
  readonly #limits: ForwardLimits;
  readonly #counters: ForwardCounters;
  #unsent: Unsent[] = [];
  /** Sent and not answered by correlation; the oldest first, which are also due first. */
  readonly #calls = new Map<number, Call>();
  #bytes = 0;
  #correlation = 0;
  #scheduled = false;
  #writable = true;
  #timer: Timer | undefined;
  readonly #flush = (): void => {
    this.#scheduled = false;
    this.#send();
  };

  /** @param onEnd the stream has ended */
  constructor(
    stream: MessageStream<ForwardRequest, readonly ForwardAnswer[]>,
    clock: Clock,
    limits: ForwardLimits,
    counters: ForwardCounters,
    onEnd: (error: SluiceError) => void,
  ) {
    this.#stream = stream;
    this.#clock = clock;
    this.#limits = limits;
    this.#counters = counters;
    stream.onMessage = (answers) => this.#take(answers);
    stream.onWritable = () => {
      this.#writable = true;
      this.#send();
    };
    stream.onEnd = (error) =>
      onEnd(error ?? new SluiceError('UNAVAILABLE', 'the other node has ended the stream'));
  }

  /** Bytes that are not answered. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @param done what the leader answers; OVERLOADED, at once; UNAVAILABLE, TIMEOUT: it may have been stored */
  forward(publish: ForwardedPublish, done: ForwardCallback): void {
    const bytes = publish.batch.length + OVERHEAD_BYTES;
    if (this.#bytes > 0 && this.#bytes + bytes > this.#limits.forwardMaxBytes) {
      this.#counters.overloaded += 1;
      done(new SluiceError('OVERLOADED', 'too many publishes are on their way to the leader'));
      return;
    }
    this.#bytes += bytes;
    this.#counters.publishes += 1;
    this.#counters.bytes += publish.batch.length;
    const dueMs = this.#clock.monotonicMs() + this.#limits.forwardTimeoutMs;
    this.#unsent.push({ publish, call: { bytes, dueMs, done } });
    this.#timer ??= this.#clock.setTimer(this.#limits.forwardTimeoutMs, () => this.#expire());
    if (this.#scheduled || !this.#writable) return;
    this.#scheduled = true;
    setImmediate(this.#flush);
  }

  /** Ends the stream and fails what is not answered. */
  fail(error: SluiceError): void {
    this.#stream.end(error);
    this.#timer?.cancel();
    const calls = [...this.#calls.values(), ...this.#unsent.map(({ call }) => call)];
    this.#calls.clear();
    this.#unsent = [];
    this.#bytes = 0;
    for (const { done } of calls) done(error);
  }

  #send(): void {
    let start = 0;
    while (this.#writable && start < this.#unsent.length) {
      const publishes: ForwardedPublish[] = [];
      const firstCorrelation = this.#correlation;
      let bytes = 0;
      for (; start < this.#unsent.length; start += 1) {
        const { publish, call } = this.#unsent[start]!;
        if (bytes > 0 && bytes + publish.batch.length > MESSAGE_MAX_BYTES) break;
        bytes += publish.batch.length;
        publishes.push(publish);
        this.#calls.set(this.#correlation, call);
        this.#correlation = correlationAfter(this.#correlation, 1);
      }
      this.#counters.messages += 1;
      this.#writable = this.#stream.write({ firstCorrelation, publishes });
    }
    this.#unsent = this.#unsent.slice(start);
  }

  #take(answers: readonly ForwardAnswer[]): void {
    for (const { correlation, answer } of answers) {
      const call = this.#calls.get(correlation);
      if (!call) continue; // given up before
      this.#calls.delete(correlation);
      this.#bytes -= call.bytes;
      call.done(answer);
    }
  }

  /** Gives up what is due, and looks again when the next one is. */
  #expire(): void {
    const nowMs = this.#clock.monotonicMs();
    const late: Call[] = [];
    for (const [correlation, call] of this.#calls) {
      if (call.dueMs > nowMs) break;
      this.#calls.delete(correlation);
      late.push(call);
    }
    while (this.#unsent[0] && this.#unsent[0].call.dueMs <= nowMs) late.push(this.#unsent.shift()!.call);
    const next = this.#calls.values().next().value ?? this.#unsent[0]?.call;
    this.#timer = next && this.#clock.setTimer(next.dueMs - nowMs, () => this.#expire());
    for (const { bytes, done } of late) {
      this.#bytes -= bytes;
      done(new SluiceError('TIMEOUT', 'the leader did not answer a publish in time'));
    }
  }
}

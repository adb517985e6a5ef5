import type { SluiceError } from '../kernel/errors.ts';
import type { MessageStream } from '../transport/grpc/message-stream.ts';
import type { ForwardAnswer, ForwardRequest } from './forward-messages.ts';
import { correlationAfter } from './forward-messages.ts';
import { PacedAnswers } from './paced-answers.ts';
import type { ForwardOutcome, ForwardTarget } from './ports.ts';

/** Bytes of publishes of one node that may wait for their answers; more are not read until some are answered. */
const UNANSWERED_MAX_BYTES = 64 * 1024 * 1024;
/** What a publish is counted with besides its batch, so that many small ones are bounded too. */
const OVERHEAD_BYTES = 200;

/**
 * The leader's end of a Forward stream: answers each publish when it can be; those of one turn travel together. While the other node does not take its answers,
 * nothing more is read from it.
 */
export class ForwardAnswers {
  readonly #stream: MessageStream<readonly ForwardAnswer[], ForwardRequest>;
  readonly #answers: PacedAnswers<readonly ForwardAnswer[]>;
  #ready: ForwardAnswer[] = [];
  #unansweredBytes = 0;
  #scheduled = false;
  readonly #flush = (): void => {
    this.#scheduled = false;
    const answers = this.#ready;
    this.#ready = [];
    this.#answers.write(answers);
  };

  /** @param onEnd the stream is over; undefined: both ends wanted it */
  constructor(
    stream: MessageStream<readonly ForwardAnswer[], ForwardRequest>,
    target: ForwardTarget,
    onEnd: (error: SluiceError | undefined) => void,
  ) {
    this.#stream = stream;
    this.#answers = new PacedAnswers(stream, { isFull: () => this.#unansweredBytes > UNANSWERED_MAX_BYTES });
    stream.onEnd = onEnd;
    stream.onMessage = ({ firstCorrelation, publishes }) => {
      publishes.forEach((publish, index) => {
        const correlation = correlationAfter(firstCorrelation, index);
        const bytes = publish.batch.length + OVERHEAD_BYTES;
        this.#unansweredBytes += bytes;
        target.forward(publish, (answer) => this.#answer(correlation, bytes, answer));
      });
      this.#answers.readIfRoom();
    };
  }

  /** Ends the stream, because the other node has opened another. */
  replace(): void {
    this.#stream.end();
  }

  #answer(correlation: number, bytes: number, answer: ForwardOutcome | SluiceError): void {
    this.#unansweredBytes -= bytes;
    this.#ready.push({ correlation, answer });
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#flush);
  }
}

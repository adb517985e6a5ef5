import type { SluiceError } from '../kernel/errors.ts';
import type { MessageStream } from '../transport/grpc/message-stream.ts';
import type { ForwardAnswer, ForwardRequest } from './forward-messages.ts';
import { correlationAfter } from './forward-messages.ts';
import type { ForwardOutcome, ForwardTarget } from './ports.ts';

/** Bytes of batches of one node that may wait for their answers; more are not read until some are answered. */
const UNANSWERED_MAX_BYTES = 64 * 1024 * 1024;

/** The leader's end of a Forward stream: answers each publish when it can be; those of one turn travel together. */
export class ForwardAnswers {
  readonly #stream: MessageStream<readonly ForwardAnswer[], ForwardRequest>;
  #ready: ForwardAnswer[] = [];
  #unansweredBytes = 0;
  #scheduled = false;
  readonly #flush = (): void => {
    this.#scheduled = false;
    const answers = this.#ready;
    this.#ready = [];
    this.#stream.write(answers);
  };

  constructor(stream: MessageStream<readonly ForwardAnswer[], ForwardRequest>, target: ForwardTarget) {
    this.#stream = stream;
    stream.onMessage = ({ firstCorrelation, publishes }) => {
      publishes.forEach((publish, index) => {
        const correlation = correlationAfter(firstCorrelation, index);
        const bytes = publish.batch.length;
        this.#unansweredBytes += bytes;
        target.forward(publish, (answer) => this.#answer(correlation, bytes, answer));
      });
      if (this.#unansweredBytes > UNANSWERED_MAX_BYTES) stream.pause();
    };
  }

  #answer(correlation: number, bytes: number, answer: ForwardOutcome | SluiceError): void {
    const wasFull = this.#unansweredBytes > UNANSWERED_MAX_BYTES;
    this.#unansweredBytes -= bytes;
    if (wasFull && this.#unansweredBytes <= UNANSWERED_MAX_BYTES) this.#stream.resume();
    this.#ready.push({ correlation, answer });
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#flush);
  }
}

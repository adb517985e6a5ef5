import type { MessageStream } from '../transport/grpc/message-stream.ts';

/** What it takes to know when nothing more is to be read. */
export interface Pace {
  /** Enough requests wait for their answers: no more are read. */
  readonly isFull: () => boolean;
  /** The other end takes answers again; called before more requests are read. Left out: nothing else has waited for it. */
  readonly onTaken?: () => void;
}

/**
 * The way of the answers of a stream. While the other end does not take them, and while too many requests wait for theirs, nothing more is read from it:
 * who asks gets no more than it has room for.
 */
export class PacedAnswers<Answer> {
  readonly #stream: Pick<MessageStream<Answer, never>, 'write' | 'pause' | 'resume'>;
  readonly #isFull: () => boolean;
  #areTaken = true;

  /** @param stream its `onWritable` is set here */
  constructor(stream: MessageStream<Answer, never>, { isFull, onTaken }: Pace) {
    this.#stream = stream;
    this.#isFull = isFull;
    stream.onWritable = () => {
      this.#areTaken = true;
      onTaken?.();
      this.readIfRoom();
    };
  }

  /** The other end takes answers, as far as is known. */
  get areTaken(): boolean {
    return this.#areTaken;
  }

  /** Sends what answers requests, which do not count as waiting any more. */
  write(answer: Answer): void {
    if (!this.#stream.write(answer)) this.#areTaken = false;
    this.readIfRoom();
  }

  /** To be called when more requests wait than before. */
  readIfRoom(): void {
    if (this.#areTaken && !this.#isFull()) this.#stream.resume();
    else this.#stream.pause();
  }
}

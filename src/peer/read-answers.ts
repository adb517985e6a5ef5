import type { SluiceError } from '../kernel/errors.ts';
import type { MessageStream } from '../transport/grpc/message-stream.ts';
import { PacedAnswers } from './paced-answers.ts';
import type { LocalCopies } from './ports.ts';
import type { ReadOutcome, ReadQuestion } from './read-messages.ts';

/** Requests of one stream that may wait for their answers, more than one for each partition that a node follows; more are not read until some are answered. */
const UNANSWERED_MAX = 8192;
/** Of them those for which something is being read, or has been and is not sent: each may bring a batch of the largest size. */
const READING_MAX = 4;

/** What it takes to answer reads of another node. */
export interface ReadAnswersParts {
  readonly copies: LocalCopies;
  /** What the other node is told of what a read has thrown. */
  readonly told: (error: unknown) => SluiceError;
  /** The stream is over; undefined: both ends wanted it. */
  readonly onEnd: (error: SluiceError | undefined) => void;
}

/**
 * The answering end of a Read stream: answers each request when it can. While the other node does not take what it asked for, nothing more is read
 * from it, nor for it.
 */
export class ReadAnswers {
  readonly #nodeId: string;
  readonly #stream: MessageStream<ReadOutcome, ReadQuestion>;
  readonly #answers: PacedAnswers<ReadOutcome>;
  readonly #parts: ReadAnswersParts;
  /** Of requests that are not answered: nobody waits for them any more when it aborts. */
  readonly #unanswered = new Set<AbortController>();
  /** Those of them for which something may be read. */
  readonly #reading = new Set<AbortController>();
  /** Those for which something would be, in their order, and who to tell that it may. */
  readonly #waiting: { readonly request: AbortController; readonly go: () => void }[] = [];

  constructor(nodeId: string, stream: MessageStream<ReadOutcome, ReadQuestion>, parts: ReadAnswersParts) {
    this.#nodeId = nodeId;
    this.#stream = stream;
    this.#parts = parts;
    this.#answers = new PacedAnswers(stream, {
      isFull: () => this.#unanswered.size >= UNANSWERED_MAX,
      onTaken: () => this.#goOn(),
    });
    stream.onMessage = (question) => {
      void this.#answer(question);
      this.#answers.readIfRoom();
    };
    stream.onEnd = (error) => {
      this.#drop();
      parts.onEnd(error);
    };
  }

  /** Ends the stream, because the other node has opened another. Nothing more is read for it, though the end of a broken one may be noticed late. */
  replace(): void {
    this.#stream.end();
    this.#drop();
  }

  #drop(): void {
    for (const gone of this.#unanswered) gone.abort();
    for (const { go } of this.#waiting.splice(0)) go();
  }

  async #answer({ correlation, request }: ReadQuestion): Promise<void> {
    const gone = new AbortController();
    this.#unanswered.add(gone);
    const { copies, told } = this.#parts;
    const answer = await copies
      .read(this.#nodeId, request, gone.signal, () => this.#roomFor(gone))
      .catch(told);
    this.#unanswered.delete(gone);
    this.#reading.delete(gone);
    this.#answers.write({ correlation, answer });
    this.#goOn();
  }

  /** @returns undefined: there is room for what is read for the request; else resolves when there is */
  #roomFor(request: AbortController): Promise<undefined> | undefined {
    if (this.#reading.has(request)) return undefined;
    if (this.#hasRoom()) {
      this.#reading.add(request);
      return undefined;
    }
    return new Promise((resolve) => {
      this.#waiting.push({ request, go: () => resolve(undefined) });
    });
  }

  #hasRoom(): boolean {
    return this.#answers.areTaken && this.#reading.size < READING_MAX;
  }

  #goOn(): void {
    while (this.#waiting.length > 0 && this.#hasRoom()) {
      const { request, go } = this.#waiting.shift()!;
      this.#reading.add(request);
      go();
    }
  }
}

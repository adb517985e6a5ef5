import type { SluiceError } from '../kernel/errors.ts';
import type { FetchRequest, FetchResponse, ReplicationServer } from '../partition/replication.ts';
import { tellable } from '../transport/grpc/grpc-error.ts';
import type { MessageStream } from '../transport/grpc/message-stream.ts';
import { PacedAnswers } from './paced-answers.ts';

/** Requests of one stream that may wait for their answers; the fetcher sends at most two. */
const OUTSTANDING_MAX = 4;
/** Longest wait, milliseconds, whatever is asked for. */
const WAIT_MAX_MS = 10_000;
/** Bytes of batches in one answer, whatever is asked for. */
const ANSWER_MAX_BYTES = 4 * 1024 * 1024;

/**
 * The leader's end of a Replicate stream: passes requests on and answers in their order. While the follower does not take
 * what it asked for, nothing more is read from it.
 */
export class FetchAnswers {
  readonly #nodeId: string;
  readonly #stream: MessageStream<FetchResponse, FetchRequest>;
  readonly #answers: PacedAnswers<FetchResponse>;
  readonly #replication: ReplicationServer;
  #outstanding = 0;
  #last: Promise<void> = Promise.resolve();

  /** @param onEnd the stream is over, and its session; undefined: both ends wanted it */
  constructor(
    nodeId: string,
    stream: MessageStream<FetchResponse, FetchRequest>,
    replication: ReplicationServer,
    onEnd: (error: SluiceError | undefined) => void,
  ) {
    this.#nodeId = nodeId;
    this.#stream = stream;
    this.#replication = replication;
    this.#answers = new PacedAnswers(stream, { isFull: () => this.#outstanding >= OUTSTANDING_MAX });
    stream.onMessage = (request) => this.#take(request);
    stream.onEnd = (error) => {
      replication.forget(nodeId);
      onEnd(error);
    };
  }

  /** Ends the stream and its session, because the follower has opened another; nobody is told later. */
  replace(): void {
    this.#stream.onEnd = () => undefined;
    this.#stream.end();
    this.#replication.forget(this.#nodeId);
  }

  #take(request: FetchRequest): void {
    this.#outstanding += 1;
    this.#answers.readIfRoom();
    const { maxBytes, maxWaitMs, ...rest } = request;
    const answer = this.#replication.fetch(this.#nodeId, {
      ...rest,
      maxBytes: Math.min(maxBytes, ANSWER_MAX_BYTES),
      maxWaitMs: Math.min(maxWaitMs, WAIT_MAX_MS),
    });
    answer.catch(() => undefined); // told below, when it is its turn
    this.#last = this.#last
      .then(() => answer)
      .then(
        (response) => this.#answer(response),
        (error: unknown) => this.#stream.end(tellable(error)),
      );
  }

  #answer(response: FetchResponse): void {
    this.#outstanding -= 1;
    this.#answers.write(response);
  }
}

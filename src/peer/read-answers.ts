import { tellable } from '../transport/grpc/grpc-error.ts';
import type { MessageStream } from '../transport/grpc/message-stream.ts';
import type { LocalCopies } from './ports.ts';
import type { ReadOutcome, ReadQuestion } from './read-messages.ts';

/**
 * The answering end of a Read stream: answers each request when it can. While the other node does not take what it asked for, nothing more is read
 * from it.
 */
export class ReadAnswers {
  readonly #nodeId: string;
  readonly #stream: MessageStream<ReadOutcome, ReadQuestion>;
  readonly #copies: LocalCopies;
  /** Of requests that are not answered: nobody waits for them any more when it aborts. */
  readonly #unanswered = new Set<AbortController>();

  constructor(nodeId: string, stream: MessageStream<ReadOutcome, ReadQuestion>, copies: LocalCopies) {
    this.#nodeId = nodeId;
    this.#stream = stream;
    this.#copies = copies;
    stream.onMessage = (question) => void this.#answer(question);
    stream.onWritable = () => stream.resume();
    stream.onEnd = () => {
      for (const gone of this.#unanswered) gone.abort();
    };
  }

  async #answer({ correlation, request }: ReadQuestion): Promise<void> {
    const gone = new AbortController();
    this.#unanswered.add(gone);
    const answer = await this.#copies.read(this.#nodeId, request, gone.signal).catch(tellable);
    this.#unanswered.delete(gone);
    if (!this.#stream.write({ correlation, answer })) this.#stream.pause();
  }
}

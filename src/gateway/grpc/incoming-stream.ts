import type { ServerReadableStream } from '@grpc/grpc-js';

/** What becomes of the messages of a stream. */
export interface IncomingHandler {
  take(bytes: Buffer): Promise<void>;
  /** The client has sent all, and all was taken. */
  ended(): void;
  /** A message could not be taken; none is any more. */
  failed(error: unknown): void;
}

/** Messages that a client streams. They are taken as they come; exactly one of `ended` and `failed` is told, unless the client goes. */
export class IncomingStream {
  readonly #handler: IncomingHandler;
  #taking = 0;
  #hasEnded = false;
  #isOver = false;

  constructor(stream: ServerReadableStream<Buffer, Buffer>, handler: IncomingHandler) {
    this.#handler = handler;
    stream.on('data', (bytes: Buffer) => void this.#take(bytes));
    stream.on('end', () => {
      this.#hasEnded = true;
      this.#endWhenTaken();
    });
    stream.on('cancelled', () => (this.#isOver = true));
    stream.on('error', () => (this.#isOver = true));
  }

  async #take(bytes: Buffer): Promise<void> {
    if (this.#isOver) return;
    this.#taking += 1;
    try {
      await this.#handler.take(bytes);
      this.#taking -= 1;
    } catch (error) {
      this.#fail(error);
    }
    this.#endWhenTaken();
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#handler.failed(error);
  }

  #endWhenTaken(): void {
    if (!this.#hasEnded || this.#taking > 0 || this.#isOver) return;
    this.#isOver = true;
    this.#handler.ended();
  }
}

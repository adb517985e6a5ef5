import type { SluiceError } from '../../kernel/errors.ts';

/**
 * One bidirectional stream of messages, at either end.
 *
 * Set the three callbacks in the turn in which the stream is given to you.
 */
export interface MessageStream<Out, In> {
  onMessage: (message: In) => void;
  /** There is room again after `write` has said that there is none. */
  onWritable: () => void;
  /** The stream is over, however; called exactly once, and nothing after it. Undefined: both ends wanted it. */
  onEnd: (error: SluiceError | undefined) => void;
  /** Bytes written that the connection has not taken yet. */
  readonly unsentBytes: number;
  /**
   * Sends a message; after the end it does nothing.
   * @returns false when so much is on its way that the sender should wait for `onWritable`; the message is sent all the same
   * @throws INVALID_ARGUMENT when the message cannot be encoded
   */
  write(message: Out): boolean;
  /** No message comes until `resume`, except those that have arrived already: at most 16. */
  pause(): void;
  resume(): void;
  /** Ends it: well, once what was written is sent, or with an error, at once. Idempotent. */
  end(error?: SluiceError): void;
}

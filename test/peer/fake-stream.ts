import type { MessageStream } from '../../src/transport/grpc/message-stream.ts';

/** One end of a stream whose other end is the test. */
export class FakeStream<Out, In> implements MessageStream<Out, In> {
  onMessage: (message: In) => void = () => undefined;
  onWritable: () => void = () => undefined;
  onEnd: () => void = () => undefined;
  readonly unsentBytes = 0;
  readonly written: Out[] = [];
  /** The other end takes what is written. */
  isRead = true;
  isPaused = false;

  write(message: Out): boolean {
    this.written.push(message);
    return this.isRead;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  end(): void {
    this.onEnd();
  }

  /** The other end has taken everything, and goes on taking. */
  readAgain(): void {
    this.isRead = true;
    this.onWritable();
  }
}

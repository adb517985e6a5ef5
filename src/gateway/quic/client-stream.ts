import type { SluiceError } from '../../kernel/errors.ts';
import type { Stream } from '../../transport/transport.ts';
import { FRAME } from '../../wire/frame.ts';
import type { ClientSession, Settling, StreamWork } from './client-session.ts';
import { PublishStream } from './publish-stream.ts';
import { RequestStream } from './request-stream.ts';
import type { StreamInputOwner } from './stream-input.ts';
import { StreamInput } from './stream-input.ts';

/**
 * A stream that a client opened besides its control stream. Its first frame says what it is for: REQUEST makes a bidirectional one a request
 * stream, anything else a publish stream.
 *
 * @see docs/protocol.md section 2
 */
export class ClientStream implements StreamInputOwner, Settling {
  readonly #session: ClientSession;
  readonly #stream: Stream;
  readonly #input: StreamInput;
  #work: StreamWork | undefined;

  constructor(session: ClientSession, stream: Stream) {
    this.#session = session;
    this.#stream = stream;
    this.#input = new StreamInput(session.context, session, stream.receive!, this);
    // Nobody opens one to ask on it.
    if (!stream.send) this.#work = new PublishStream(session, stream, this.#input, this);
  }

  get settled(): boolean {
    return this.#work?.settled ?? !this.#input.holding;
  }

  get congested(): boolean {
    return this.#work?.congested ?? false;
  }

  onFrame(type: number, topic: string, payload: Buffer): void {
    this.#work ??= this.#begin(type);
    this.#work.onFrame(type, topic, payload);
  }

  onTurnEnd(): void {
    this.#work?.onTurnEnd();
  }

  onEnd(): void {
    if (this.#work) this.#work.onEnd();
    else this.#close(() => this.#stream.send?.end());
  }

  onReset(code: number): void {
    if (this.#work) this.#work.onReset(code);
    else this.#close(() => this.#stream.send?.end());
  }

  onFailure(error: SluiceError): void {
    if (this.#work) {
      this.#work.onFailure(error);
      return;
    }
    this.#session.countError(error.code);
    this.#close(() => {
      this.#input.stop(error.wire);
      this.#stream.send?.reset(error.wire);
    });
  }

  #begin(type: number): StreamWork {
    const { send, receive } = this.#stream;
    if (type !== FRAME.REQUEST || !send || !receive) {
      return new PublishStream(this.#session, this.#stream, this.#input, this);
    }
    return new RequestStream(this.#session, send, this.#input, this);
  }

  #close(tell: () => void): void {
    tell();
    this.#session.streamOver(this);
  }
}

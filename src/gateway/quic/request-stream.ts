import { SluiceError } from '../../kernel/errors.ts';
import type { SendStream } from '../../transport/transport.ts';
import { FRAME, frameName } from '../../wire/frame.ts';
import type { ClientSession, RequestChannel, Settling, StreamWork } from './client-session.ts';
import { deliveryUrgency } from './limits.ts';
import { answerRequest } from './requests/answer-request.ts';
import type { StreamInput } from './stream-input.ts';

/** Requests of one stream that are worked on at once; those behind are not read yet. */
const MAX_RUNNING = 64;
/** Its answers are records, most of all: they come when those of a subscription do. */
const URGENCY = 3;

/**
 * A stream besides the control stream on which a client asks: what waits long, or is answered with many records, holds up nothing else.
 *
 * What happens on it ends at most it. A client that does not read its answers is not read either. When the client ends it, what waits for something
 * to happen is given up; what is answered still goes out.
 *
 * @see docs/protocol.md section 5
 */
export class RequestStream implements StreamWork, RequestChannel {
  readonly session: ClientSession;
  readonly #send: SendStream;
  readonly #input: StreamInput;
  readonly #owner: Settling;
  readonly #gone = new AbortController();
  #running = 0;
  #inputEnded = false;
  #over = false;

  constructor(session: ClientSession, send: SendStream, input: StreamInput, owner: Settling) {
    this.session = session;
    this.#send = send;
    this.#input = input;
    this.#owner = owner;
    session.context.counters.requestStreams += 1;
    send.setPriority(deliveryUrgency(URGENCY), true);
    send.onWritable = () => this.#progress();
    send.onStopped = () => this.#giveUp();
  }

  get helloSeen(): boolean {
    return this.session.helloSeen;
  }

  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  get maxResponseBytes(): number {
    return this.session.context.limits.maxFrameBytes;
  }

  get settled(): boolean {
    return this.#running === 0 && !this.#input.holding && this.#send.bufferedBytes === 0;
  }

  get congested(): boolean {
    const { maxAnswerBytes } = this.session.context.limits;
    return this.#running >= MAX_RUNNING || this.#send.bufferedBytes > maxAnswerBytes;
  }

  write(frame: Buffer): void {
    this.#send.write(frame);
  }

  run(task: () => Promise<void>): void {
    this.#running += 1;
    void task().finally(() => {
      this.#running -= 1;
      this.#progress();
    });
  }

  onFrame(type: number, _topic: string, payload: Buffer): void {
    if (type !== FRAME.REQUEST) {
      throw new SluiceError('PROTOCOL_ERROR', `${frameName(type)} does not belong on a request stream`);
    }
    // Nothing of what a stranger says is looked into.
    if (!this.session.authenticated)
      throw new SluiceError('UNAUTHENTICATED', 'HELLO with a token comes first');
    answerRequest(this, payload);
  }

  onTurnEnd(): void {
    // Answers are written as they come.
  }

  onEnd(): void {
    this.#inputEnded = true;
    this.#gone.abort();
    this.#progress();
  }

  onReset(): void {
    this.onEnd();
  }

  onFailure(error: SluiceError): void {
    this.session.countError(error.code);
    this.#end(error.wire);
  }

  /** The client wants no answers, or the connection is gone. */
  #giveUp(): void {
    this.#end(0);
  }

  #end(code: number): void {
    if (this.#over) return;
    this.#gone.abort();
    this.#input.stop(code);
    this.#send.reset(code);
    this.#close();
  }

  #progress(): void {
    if (this.#over) return;
    this.#input.recheck();
    if (this.#inputEnded && this.#running === 0) {
      this.#send.end();
      this.#close();
    } else {
      this.session.progressed();
    }
  }

  #close(): void {
    this.#over = true;
    this.session.context.counters.requestStreams -= 1;
    this.session.streamOver(this.#owner);
  }
}

import { SluiceError } from '../../kernel/errors.ts';
import type { BidiStream, SendStream } from '../../transport/transport.ts';
import { CONTROL_MAX_BYTES, FRAME, frameName } from '../../wire/frame.ts';
import type { Acks, Produced } from '../../wire/produce.ts';
import { decodeProduced, encodeProduceHead } from '../../wire/produce.ts';
import { AnswerFrames } from '../connection/answer-frames.ts';
import type { OutgoingBatch } from './outgoing-batch.ts';

/** Who sends batches on a producer stream: one partition's queue. */
export interface BatchSender {
  readonly topic: string;
  readonly partition: number;
  /** The broker answered one of its batches. */
  answered(batch: OutgoingBatch, produced: Produced): void;
  /** The stream has room again. */
  pump(): void;
}

interface InFlight {
  readonly sender: BatchSender;
  readonly batch: OutgoingBatch;
}

/** Bytes that may wait in the stream for the network; more would only grow memory. */
const MAX_WAITING_BYTES = 512 * 1024;

/** A producer's stream on one connection: PRODUCE frames out, PRODUCED frames in; those of one partition in the same order. */
export class ProducerStream {
  readonly #send: SendStream;
  readonly #onIdle: () => void;
  readonly #onOver: (error: SluiceError) => void;
  readonly #answers: AnswerFrames;
  readonly #blocked = new Set<BatchSender>();
  /** By correlation. */
  readonly #inFlight = new Map<number, InFlight>();
  #correlation = 0;

  /**
   * @param onIdle called after an answer when nothing is in flight any more
   * @param onOver called once when the stream is over, with the reason; what is in flight gets no answer then
   */
  constructor(stream: BidiStream, onIdle: () => void, onOver: (error: SluiceError) => void) {
    this.#send = stream.send;
    this.#onIdle = onIdle;
    this.#onOver = onOver;
    const limits = { maxFrameBytes: CONTROL_MAX_BYTES, maxControlBytes: CONTROL_MAX_BYTES };
    this.#answers = new AnswerFrames(stream, 'publish stream', limits, {
      frame: (type, payload) => this.#frame(type, payload),
      over: (error) => this.#ended(error),
    });
    stream.send.onWritable = () => this.#writable();
  }

  /** Batches that wait for their answer. */
  get inFlightCount(): number {
    return this.#inFlight.size;
  }

  /** Batches sent so far; wraps at 2^32. */
  get sentCount(): number {
    return this.#correlation;
  }

  /** Whether another batch may be sent now. */
  get hasRoom(): boolean {
    return this.#answers.failure === undefined && this.#send.bufferedBytes < MAX_WAITING_BYTES;
  }

  /** Calls `sender.pump` once when there is room again. */
  pumpLater(sender: BatchSender): void {
    this.#blocked.add(sender);
  }

  /** Sends a batch; the stream reads its bytes until it is answered. */
  send(sender: BatchSender, batch: OutgoingBatch, acks: Acks): void {
    const correlation = this.#correlation;
    this.#correlation = (correlation + 1) >>> 0;
    const head = { correlation, partition: sender.partition, acks };
    this.#send.write(encodeProduceHead(sender.topic, head, batch.bytes.length));
    this.#send.write(batch.bytes);
    if (acks !== 0) this.#inFlight.set(correlation, { sender, batch });
  }

  /** Sends no more; answers still come. */
  finish(): void {
    this.#send.end();
  }

  #writable(): void {
    const senders = [...this.#blocked];
    this.#blocked.clear();
    for (const sender of senders) sender.pump();
  }

  #frame(type: number, payload: Buffer): void {
    if (type !== FRAME.PRODUCED) {
      throw new SluiceError('PROTOCOL_ERROR', `${frameName(type)} makes no sense on a publish stream`);
    }
    const produced = decodeProduced(payload);
    const { correlation } = produced;
    const asked = this.#inFlight.get(correlation);
    if (!asked) {
      throw new SluiceError('PROTOCOL_ERROR', `an answer to ${correlation}, which is not awaited`);
    }
    this.#inFlight.delete(correlation);
    asked.sender.answered(asked.batch, produced);
    if (this.inFlightCount === 0) this.#onIdle();
  }

  #ended(error: SluiceError): void {
    this.#inFlight.clear();
    this.#blocked.clear();
    this.#onOver(error);
  }
}

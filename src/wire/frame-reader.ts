import { isUtf8 } from 'node:buffer';
import { SluiceError } from '../kernel/errors.ts';
import type { FrameLimits } from './frame.ts';
import {
  FRAME,
  FRAME_HEADER_BYTES,
  TOPIC_MAX_BYTES,
  frameName,
  isFrameType,
  maxPayloadBytes,
} from './frame.ts';

const EMPTY = Buffer.alloc(0);
/** First room for a payload that arrives in pieces; doubles from there, so that memory follows what has arrived. */
const FIRST_ROOM_BYTES = 4096;

/**
 * Cuts the bytes of one stream into frames.
 *
 * Chunks may be cut anywhere. Bytes are copied once, out of the transport's chunk into the payload (a payload that comes in
 * pieces may be copied again while its buffer grows). What is held never exceeds twice what has arrived of the frame at hand.
 */
export class FrameReader {
  readonly #limits: FrameLimits;
  readonly #onFrame: (type: number, topic: string, payload: Buffer) => void;
  /** Header and topic of the frame at hand. */
  readonly #head = Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES + TOPIC_MAX_BYTES);
  #headBytes = 0;
  /** Room for the payload; undefined while header and topic are not complete. */
  #payload: Buffer | undefined;
  #payloadBytes = 0;
  #topic = '';
  /** The bytes `#topic` was made of: most streams repeat one topic. */
  #topicBytes: Buffer = EMPTY;
  #failure: Error | undefined;
  #stopped = false;

  /**
   * @param limits bounds of payloads, bytes
   * @param onFrame called for each frame in order, from inside `push`. `payload` is a fresh buffer that the callee owns. What
   *   it throws comes out of `push` and ends the reader
   */
  constructor(limits: FrameLimits, onFrame: (type: number, topic: string, payload: Buffer) => void) {
    this.#limits = limits;
    this.#onFrame = onFrame;
  }

  /** Bytes of a frame that has begun and is not complete. 0 between frames. */
  get pendingBytes(): number {
    return this.#headBytes + this.#payloadBytes;
  }

  /**
   * Takes the next bytes of the stream; `chunk` is not kept. A reader that has thrown once throws the same again.
   *
   * @throws UNKNOWN_FRAME when a type is not known; FRAME_TOO_LARGE when a header announces more than the limit;
   *   PROTOCOL_ERROR when a topic is not UTF-8
   */
  push(chunk: Buffer): void {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      let at = 0;
      while (at < chunk.length && !this.#stopped) {
        at = this.#payload === undefined ? this.#takeHead(chunk, at) : this.#takePayload(chunk, at);
      }
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
      this.#release();
      throw error;
    }
  }

  /**
   * The stream ended.
   *
   * @throws PROTOCOL_ERROR when it ended inside a frame
   */
  end(): void {
    if (this.#failure !== undefined || this.#stopped || this.pendingBytes === 0) return;
    const pending = this.pendingBytes;
    this.#release();
    throw new SluiceError('PROTOCOL_ERROR', `the stream ended inside a frame, after ${pending} of its bytes`);
  }

  /** Ignores everything from here on, also the rest of the chunk being read. Idempotent. */
  stop(): void {
    this.#stopped = true;
    this.#release();
  }

  #release(): void {
    this.#payload = undefined;
    this.#headBytes = 0;
    this.#payloadBytes = 0;
  }

  /** Fills header and topic from `chunk`; begins the payload once both are there. Returns where it stopped. */
  #takeHead(chunk: Buffer, from: number): number {
    const head = this.#head;
    let at = from;
    if (this.#headBytes < FRAME_HEADER_BYTES) {
      while (this.#headBytes < FRAME_HEADER_BYTES && at < chunk.length)
        head[this.#headBytes++] = chunk[at++]!;
      if (this.#headBytes < FRAME_HEADER_BYTES) return at;
      this.#checkHeader();
    }
    const headEnd = FRAME_HEADER_BYTES + head[1]!;
    const take = Math.min(headEnd - this.#headBytes, chunk.length - at);
    for (let i = 0; i < take; i++) head[this.#headBytes++] = chunk[at++]!;
    if (this.#headBytes < headEnd) return at;
    const announced = head.readUInt32BE(2);
    const room = announced <= chunk.length - at ? announced : Math.min(announced, FIRST_ROOM_BYTES);
    this.#payload = this.#allocate(room);
    return announced === 0 ? this.#finish(at) : at;
  }

  #checkHeader(): void {
    const type = this.#head[0]!;
    if (!isFrameType(type))
      throw new SluiceError('UNKNOWN_FRAME', `frame type ${frameName(type)} is not known`);
    const announced = this.#head.readUInt32BE(2);
    const limit = maxPayloadBytes(type, this.#limits);
    if (announced > limit) {
      throw new SluiceError(
        'FRAME_TOO_LARGE',
        `a ${frameName(type)} frame announces ${announced} bytes; at most ${limit}`,
      );
    }
  }

  #takePayload(chunk: Buffer, from: number): number {
    const announced = this.#head.readUInt32BE(2);
    const have = this.#payloadBytes;
    const take = Math.min(announced - have, chunk.length - from);
    let payload = this.#payload!;
    if (have + take > payload.length) {
      payload = this.#allocate(Math.min(announced, Math.max(have + take, payload.length * 2)));
      payload.set(this.#payload!.subarray(0, have));
      this.#payload = payload;
    }
    payload.set(take === chunk.length ? chunk : chunk.subarray(from, from + take), have);
    this.#payloadBytes = have + take;
    return this.#payloadBytes === announced ? this.#finish(from + take) : from + take;
  }

  /** Hands the frame out. The state is clean before the callee runs. */
  #finish(at: number): number {
    const type = this.#head[0]!;
    const topic = this.#readTopic();
    const payload = this.#payload!;
    this.#release();
    this.#onFrame(type, topic, payload);
    return at;
  }

  /** Batches stay for long in logs: they get memory of their own, or each would pin a whole slab (64 KiB) of Node's pool. */
  #allocate(bytes: number): Buffer {
    if (bytes === 0) return EMPTY;
    const type = this.#head[0];
    return type === FRAME.PRODUCE || type === FRAME.BATCH
      ? Buffer.allocUnsafeSlow(bytes)
      : Buffer.allocUnsafe(bytes);
  }

  #readTopic(): string {
    const bytes = this.#head.subarray(FRAME_HEADER_BYTES, this.#headBytes);
    if (bytes.length === 0) return '';
    if (bytes.equals(this.#topicBytes)) return this.#topic;
    if (!isUtf8(bytes)) throw new SluiceError('PROTOCOL_ERROR', 'the topic of a frame is not UTF-8');
    this.#topicBytes = Buffer.from(bytes);
    this.#topic = bytes.toString('utf8');
    return this.#topic;
  }
}

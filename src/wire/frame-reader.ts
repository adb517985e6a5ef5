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
/** Published payloads of so much are not kept where they are. */
const SMALL_BYTES = 4096;
/** How much more room a payload gets than has come of it. A batch is copied once or twice on its way in, and not once for each doubling. */
const ROOM_GROWTH = 8;

/**
 * Cuts the bytes of one stream into frames.
 *
 * Chunks may be cut anywhere. Bytes are copied once, out of the transport's chunk into the payload (a payload that comes in
 * pieces may be copied again while its buffer grows). What is held never exceeds twice what has arrived of the frame at hand,
 * and between frames it is nothing.
 */
export class FrameReader {
  readonly #limits: FrameLimits;
  readonly #onFrame: (type: number, topic: string, payload: Buffer) => void;
  /** Header and topic of the frame at hand, where they come in pieces. */
  #head: Buffer | undefined;
  #headBytes = 0;
  #type = 0;
  /** Bytes of payload that the header announces. */
  #announced = 0;
  /** Room for the payload; undefined while header and topic are not complete. */
  #payload: Buffer | undefined;
  #payloadBytes = 0;
  #topic = '';
  /** The last topic and the bytes it was made of: most streams repeat one. */
  #lastTopic = '';
  #lastTopicBytes: Buffer = EMPTY;
  #failure: Error | undefined;
  #paused = false;
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
   * @returns bytes taken: all of `chunk`, unless {@link pause} was called meanwhile; the rest has to be pushed again
   * @throws UNKNOWN_FRAME when a type is not known; FRAME_TOO_LARGE when a header announces more than the limit;
   *   PROTOCOL_ERROR when a topic is not UTF-8
   */
  push(chunk: Buffer): number {
    if (this.#failure !== undefined) throw this.#failure;
    this.#paused = false;
    let at = 0;
    try {
      while (at < chunk.length && this.#wantsMore()) {
        at = this.#payload === undefined ? this.#takeHead(chunk, at) : this.#takePayload(chunk, at);
      }
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
      this.#release();
      throw error;
    }
    return this.#stopped ? chunk.length : at;
  }

  /** Makes the `push` at hand return after the frame that is being handed out. */
  pause(): void {
    this.#paused = true;
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

  /** Asked again after each frame, because the callee may pause or stop in it. */
  #wantsMore(): boolean {
    return !this.#stopped && !this.#paused;
  }

  #release(): void {
    this.#head = undefined;
    this.#payload = undefined;
    this.#headBytes = 0;
    this.#payloadBytes = 0;
  }

  /** Reads header and topic, in place where all of them are there. Returns where it stopped. */
  #takeHead(chunk: Buffer, from: number): number {
    if (this.#head !== undefined) return this.#gatherHead(this.#head, chunk, from);
    if (chunk.length - from >= FRAME_HEADER_BYTES) {
      this.#checkHeader(chunk, from);
      const end = from + FRAME_HEADER_BYTES + chunk[from + 1]!;
      if (end <= chunk.length) {
        this.#headBytes = end - from;
        return this.#begin(chunk, from, chunk.length, end);
      }
    }
    this.#head = Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES + TOPIC_MAX_BYTES);
    return this.#gatherHead(this.#head, chunk, from);
  }

  /** Adds what `chunk` has of header and topic. */
  #gatherHead(head: Buffer, chunk: Buffer, from: number): number {
    let at = from;
    if (this.#headBytes < FRAME_HEADER_BYTES) {
      while (this.#headBytes < FRAME_HEADER_BYTES && at < chunk.length)
        head[this.#headBytes++] = chunk[at++]!;
      if (this.#headBytes < FRAME_HEADER_BYTES) return at;
      this.#checkHeader(head, 0);
    }
    const headEnd = FRAME_HEADER_BYTES + head[1]!;
    while (this.#headBytes < headEnd && at < chunk.length) head[this.#headBytes++] = chunk[at++]!;
    if (this.#headBytes < headEnd) return at;
    this.#head = undefined;
    return this.#begin(head, 0, chunk.length, at);
  }

  /** Header and topic are at `from` in `head`; the payload begins at `at` in a chunk that ends at `chunkEnd`. */
  #begin(head: Buffer, from: number, chunkEnd: number, at: number): number {
    const start = from + FRAME_HEADER_BYTES;
    this.#topic = this.#readTopic(head, start, start + head[from + 1]!);
    const announced = this.#announced;
    const isHere = announced <= chunkEnd - at;
    this.#payload = this.#allocate(isHere ? announced : Math.min(announced, FIRST_ROOM_BYTES), isHere);
    return announced === 0 ? this.#finish(at) : at;
  }

  /** Reads type and length. */
  #checkHeader(head: Buffer, from: number): void {
    const type = head[from]!;
    if (!isFrameType(type))
      throw new SluiceError('UNKNOWN_FRAME', `frame type ${frameName(type)} is not known`);
    const announced = head.readUInt32BE(from + 2);
    const limit = maxPayloadBytes(type, this.#limits);
    if (announced > limit) {
      throw new SluiceError(
        'FRAME_TOO_LARGE',
        `a ${frameName(type)} frame announces ${announced} bytes; at most ${limit}`,
      );
    }
    this.#type = type;
    this.#announced = announced;
  }

  #takePayload(chunk: Buffer, from: number): number {
    const announced = this.#announced;
    const have = this.#payloadBytes;
    const take = Math.min(announced - have, chunk.length - from);
    let payload = this.#payload!;
    if (have + take > payload.length) {
      payload = this.#allocate(Math.min(announced, Math.max(have + take, payload.length * ROOM_GROWTH)));
      payload.set(this.#payload!.subarray(0, have));
      this.#payload = payload;
    }
    payload.set(take === chunk.length ? chunk : chunk.subarray(from, from + take), have);
    this.#payloadBytes = have + take;
    return this.#payloadBytes === announced ? this.#finish(from + take) : from + take;
  }

  /** Hands the frame out. The state is clean before the callee runs. */
  #finish(at: number): number {
    const payload = this.#payload!;
    this.#release();
    this.#onFrame(this.#type, this.#topic, payload);
    return at;
  }

  /**
   * Batches stay for long in logs and with readers: they get memory of their own, or each would pin a whole slab (64 KiB) of Node's pool. Not so a small one
   * that is published, and here as a whole: logs copy it (`BatchPacker`).
   *
   * @param isHere all of the payload has arrived
   */
  #allocate(bytes: number, isHere = false): Buffer {
    if (bytes === 0) return EMPTY;
    const isPooled =
      this.#type === FRAME.PRODUCE ? isHere && bytes <= SMALL_BYTES : this.#type !== FRAME.BATCH;
    return isPooled ? Buffer.allocUnsafe(bytes) : Buffer.allocUnsafeSlow(bytes);
  }

  #readTopic(head: Buffer, start: number, end: number): string {
    if (start === end) return '';
    const bytes = head.subarray(start, end);
    if (bytes.equals(this.#lastTopicBytes)) return this.#lastTopic;
    if (!isUtf8(bytes)) throw new SluiceError('PROTOCOL_ERROR', 'the topic of a frame is not UTF-8');
    this.#lastTopicBytes = Buffer.from(bytes);
    this.#lastTopic = bytes.toString('utf8');
    return this.#lastTopic;
  }
}

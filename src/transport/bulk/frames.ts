import { SluiceError } from '../../kernel/errors.ts';

/** Length of the payload, u32, and kind, u8; big-endian. */
export const HEADER_BYTES = 5;

/** What a frame is; payload of each. */
export const KIND = {
  /** First frame of the calling end: path of the method. */
  open: 1,
  /** A message of the method. */
  message: 2,
  /** Last frame of an end: nothing when it ends well, else code of the error, a line feed, text. */
  end: 3,
  /** Nothing: the end is there. */
  alive: 4,
} as const;
export type FrameKind = (typeof KIND)[keyof typeof KIND];

const OPEN_MAX_BYTES = 256;
/** Longest text of an error that is sent, characters. */
const TEXT_MAX = 1024;
const END_MAX_BYTES = 8 * 1024;
/** Room for a payload that is there at once, bytes: what nodes mostly send fits. A larger one gets as much again whenever that is full, not what was announced. */
const ROOM_AT_ONCE_BYTES = 4 * 1024 * 1024 + 256 * 1024;

/** Writes the header of a frame to the beginning of `target`. */
export function writeHeader(target: Buffer, kind: FrameKind, payloadBytes: number): void {
  target.writeUInt32BE(payloadBytes, 0);
  target[4] = kind;
}

/** Payload of the last frame of an end. @param error undefined: it ends well */
export function encodeEnd(error: SluiceError | undefined): Buffer {
  return Buffer.from(error ? `${error.code}\n${error.message.slice(0, TEXT_MAX)}` : '');
}

/** Puts frames together from bytes that are cut anywhere, one after the other. */
export class FrameAssembler {
  readonly #maxBytes: Readonly<Record<number, number>>;
  readonly #onFrame: (kind: FrameKind, payload: Buffer) => void;
  readonly #head = Buffer.alloc(HEADER_BYTES);
  #headBytes = 0;
  /** Room for the payload, or for the beginning of it. */
  #payload: Buffer | undefined;
  #announcedBytes = 0;
  #payloadBytes = 0;
  #isOpen: boolean;

  /**
   * @param maxMessageBytes largest message
   * @param onFrame called from inside `take`; the payload is the callee's
   * @param isOpen false: messages are refused, before they come, until the stream has been opened
   */
  constructor(maxMessageBytes: number, onFrame: (kind: FrameKind, payload: Buffer) => void, isOpen = true) {
    this.#isOpen = isOpen;
    this.#maxBytes = {
      [KIND.open]: OPEN_MAX_BYTES,
      [KIND.message]: maxMessageBytes,
      [KIND.end]: END_MAX_BYTES,
      [KIND.alive]: 0,
    };
    this.#onFrame = onFrame;
  }

  /**
   * Takes bytes from `start` to the end of the frame at hand, or as many as there are; copies them.
   * @returns where it stopped
   * @throws PROTOCOL_ERROR, OVERLOADED when a frame is larger than it may be: there is no sense in taking more
   */
  take(bytes: Buffer, start: number): number {
    let at = start;
    if (this.#headBytes < HEADER_BYTES) {
      const taken = bytes.copy(this.#head, this.#headBytes, at);
      this.#headBytes += taken;
      at += taken;
      if (this.#headBytes < HEADER_BYTES) return at;
    }
    const payload = this.#room();
    const taken = bytes.copy(payload, this.#payloadBytes, at);
    this.#payloadBytes += taken;
    if (this.#payloadBytes === this.#announcedBytes) {
      this.drop();
      this.#isOpen ||= this.#head[4] === KIND.open;
      this.#onFrame(this.#head[4] as FrameKind, payload);
    }
    return at + taken;
  }

  /** Forgets what has come of a frame. */
  drop(): void {
    this.#headBytes = 0;
    this.#payload = undefined;
    this.#payloadBytes = 0;
  }

  /** The payload, with room for more of it. */
  #room(): Buffer {
    if (this.#payload === undefined) {
      this.#announcedBytes = this.#announced();
      this.#payload = Buffer.allocUnsafe(Math.min(this.#announcedBytes, ROOM_AT_ONCE_BYTES));
    } else if (this.#payloadBytes === this.#payload.length) {
      const larger = Buffer.allocUnsafe(Math.min(this.#announcedBytes, this.#payload.length * 2));
      this.#payload.copy(larger);
      this.#payload = larger;
    }
    return this.#payload;
  }

  #announced(): number {
    const length = this.#head.readUInt32BE(0);
    const kind = this.#head[4]!;
    const maxBytes = this.#maxBytes[kind];
    if (maxBytes === undefined)
      throw new SluiceError('PROTOCOL_ERROR', `frames of kind ${kind} are not known`);
    if (!this.#isOpen && kind === KIND.message)
      throw new SluiceError('PROTOCOL_ERROR', 'the stream is not open');
    if (length <= maxBytes) return length;
    throw new SluiceError('OVERLOADED', `a frame of ${length} bytes came, where at most ${maxBytes} may`);
  }
}

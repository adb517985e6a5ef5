import { gunzip, inflate } from 'node:zlib';
import { SluiceError } from '../../kernel/errors.ts';
import type { Asker, Slots } from '../../kernel/slots.ts';
import { errorToStatus } from '../../transport/grpc/grpc-error.ts';
import type { Arrival } from './call-internals.ts';

/** What a part of a message takes beside its bytes. */
const PART_OVERHEAD_BYTES = 256;

/** What the messages of one call arrive at. */
export interface ArrivingMessagesOptions {
  /** Largest message, inflated. */
  readonly maxBytes: number;
  /** Those of all calls that are inflated at once. */
  readonly inflating: Slots;
  /** The call. */
  readonly asker: Asker;
  /** So many bytes more are held, or less. */
  readonly count: (bytes: number) => void;
}

/**
 * The messages of one call until they are handed on, and what they hold:
 *
 *     parts: of one that is not complete     complete: those that are, inflated where they were compressed
 */
export class ArrivingMessages implements Arrival {
  readonly #options: ArrivingMessagesOptions;
  #partBytes = 0;
  #lastBuffer: ArrayBufferLike | undefined;
  #completeBytes = 0;

  constructor(options: ArrivingMessagesOptions) {
    this.#options = options;
  }

  get heldBytes(): number {
    return this.#partBytes + this.#completeBytes;
  }

  part({ buffer }: Buffer): void {
    // A part keeps all that was read with it from the socket, however small it is.
    const more = PART_OVERHEAD_BYTES + (buffer === this.#lastBuffer ? 0 : buffer.byteLength);
    this.#lastBuffer = buffer;
    this.#partBytes += more;
    this.#options.count(more);
  }

  complete(contents: Buffer, encoding: string): Buffer | Promise<Buffer> {
    const less = this.#partBytes;
    this.#partBytes = 0;
    this.#lastBuffer = undefined;
    this.#completeBytes += contents.length;
    this.#options.count(contents.length - less);
    if (contents.length > this.#options.maxBytes)
      return Promise.reject(errorToStatus(tooLarge(this.#options.maxBytes)));
    return encoding === 'identity' ? contents : this.#inflate(contents, encoding);
  }

  /** One has been handed on. */
  handedOn(bytes: number): void {
    this.#completeBytes -= bytes;
    this.#options.count(-bytes);
  }

  /** grpc-js would inflate what comes on all calls at once, and count nothing. */
  async #inflate(contents: Buffer, encoding: string): Promise<Buffer> {
    const { inflating, maxBytes, asker, count } = this.#options;
    try {
      const inflated = await inflating.run(() => inflatedBy(encoding, contents, maxBytes), asker);
      const more = inflated.length - contents.length;
      this.#completeBytes += more;
      count(more);
      return inflated;
    } catch (error) {
      throw errorToStatus(error);
    }
  }
}

/** @throws OVERLOADED when it is more than `maxBytes`; PROTOCOL_ERROR; UNSUPPORTED */
function inflatedBy(encoding: string, contents: Buffer, maxBytes: number): Promise<Buffer> {
  const options = { maxOutputLength: maxBytes };
  return new Promise((resolve, reject) => {
    const done = (cause: NodeJS.ErrnoException | null, inflated: Buffer): void => {
      if (!cause) resolve(inflated);
      else if (cause.code === 'ERR_BUFFER_TOO_LARGE') reject(tooLarge(maxBytes));
      else reject(new SluiceError('PROTOCOL_ERROR', `no ${encoding}: ${cause.message}`, { cause }));
    };
    if (encoding === 'gzip') gunzip(contents, options, done);
    else if (encoding === 'deflate') inflate(contents, options, done);
    else
      reject(
        new SluiceError('UNSUPPORTED', 'messages may be compressed by gzip or deflate, and nothing else'),
      );
  });
}

function tooLarge(maxBytes: number): SluiceError {
  return new SluiceError('OVERLOADED', `a message of more than ${maxBytes} bytes`);
}

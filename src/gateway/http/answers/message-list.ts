const KiB = 1024;
const PART_CHARS = 64 * KiB;
/** Of an answer: the record that reaches it is the last. Batches of some kilobytes may inflate to gigabytes. */
export const ANSWER_MAX_BYTES = 16 * KiB * KiB;
/** What stands around records. */
const FRAME_BYTES = KiB;
/** What a record takes besides its topic and its own bytes: names, numbers and the token of a lease. */
const RECORD_FRAME_BYTES = 256;
/** What a byte becomes at the most: `\u0000`. */
const ESCAPED_BYTES = 6;

/**
 * What an answer takes at the most, bytes; a record that is large alone may make it larger.
 *
 * @param bytes of the records with their headers
 */
export function answerBytes(topic: string, records: number, bytes: number): number {
  const texts = records * (topic.length + RECORD_FRAME_BYTES) + bytes * ESCAPED_BYTES;
  return Math.min(ANSWER_MAX_BYTES, FRAME_BYTES + texts);
}

/** Texts of an answer, made to bytes bit by bit, so that the end of a long one costs little. */
export class MessageList {
  readonly #separator: string;
  readonly #parts: Buffer[] = [];
  #bytes = 0;
  #tail = '';

  /** @param separator between the texts */
  constructor(separator = ',') {
    this.#separator = separator;
  }

  get isEmpty(): boolean {
    return this.#bytes + this.#tail.length === 0;
  }

  /** Whether an answer is to have no more. */
  get isFull(): boolean {
    return this.#bytes + this.#tail.length >= ANSWER_MAX_BYTES;
  }

  /** @returns whether it is full now */
  add(text: string): boolean {
    this.#tail += this.isEmpty ? text : this.#separator + text;
    if (this.#tail.length >= PART_CHARS) this.#cut();
    return this.isFull;
  }

  /** All of it, UTF-8, with what stands around it. */
  between(head: string, foot: string): Buffer {
    this.#cut();
    return Buffer.concat([Buffer.from(head), ...this.#parts, Buffer.from(foot)]);
  }

  #cut(): void {
    const part = Buffer.from(this.#tail);
    this.#tail = '';
    this.#parts.push(part);
    this.#bytes += part.length;
  }
}

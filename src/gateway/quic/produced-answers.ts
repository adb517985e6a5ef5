import type { PublishOutcome } from '../../broker/broker.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { SendStream } from '../../transport/transport.ts';
import { encodeProduced } from '../../wire/produce.ts';

/** The place of one answer in the order of its stream. */
export interface AnswerSlot {
  readonly correlation: number;
  readonly partition: number | undefined;
  frame: Buffer | undefined;
}

/**
 * Answers of one publish stream, in the order of the questions, whatever order the outcomes come in.
 *
 *     slots: │ settled │ settled │ waiting │ settled │ waiting │
 *              └── written ──┘     └── waits for the one before ─┘
 */
export class ProducedAnswers {
  readonly #send: SendStream;
  #slots: AnswerSlot[] = [];
  #head = 0;
  #ready: Buffer[] = [];

  constructor(send: SendStream) {
    this.#send = send;
  }

  /** Answers that wait for their outcome, or for one before them. */
  get waitingCount(): number {
    return this.#slots.length - this.#head;
  }

  /** Takes the next place. */
  open(correlation: number, partition: number | undefined): AnswerSlot {
    const slot: AnswerSlot = { correlation, partition, frame: undefined };
    this.#slots.push(slot);
    return slot;
  }

  /** The outcome for `slot` is known. Nothing is written before {@link flush}. */
  settle(slot: AnswerSlot, outcome: PublishOutcome | SluiceError): void {
    slot.frame = encodeAnswer(slot, outcome);
    while (this.#head < this.#slots.length) {
      const frame = this.#slots[this.#head]!.frame;
      if (frame === undefined) break;
      this.#ready.push(frame);
      this.#head += 1;
    }
    this.#compact();
  }

  /** Writes what is settled, in one piece. */
  flush(): void {
    const ready = this.#ready;
    if (ready.length === 0) return;
    this.#ready = [];
    this.#send.write(ready.length === 1 ? ready[0]! : Buffer.concat(ready));
  }

  #compact(): void {
    if (this.#head === this.#slots.length) {
      this.#slots = [];
      this.#head = 0;
    } else if (this.#head >= 256) {
      this.#slots.splice(0, this.#head);
      this.#head = 0;
    }
  }
}

function encodeAnswer(slot: AnswerSlot, outcome: PublishOutcome | SluiceError): Buffer {
  if (outcome instanceof SluiceError) {
    return encodeProduced({
      correlation: slot.correlation,
      error: outcome.code,
      message: outcome.message,
      duplicate: false,
      partition: slot.partition ?? 0,
      baseOffset: 0,
      appendTimeMs: undefined,
    });
  }
  return encodeProduced({
    correlation: slot.correlation,
    error: undefined,
    message: '',
    duplicate: outcome.kind === 'duplicate',
    partition: outcome.partition,
    baseOffset: outcome.baseOffset,
    appendTimeMs: outcome.appendTimeMs,
  });
}

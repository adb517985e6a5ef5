import type { ErrorCode } from '../../kernel/errors.ts';
import { ERRORS } from '../../kernel/errors.ts';
import type { ByteBudget } from '../../log/byte-budget.ts';
import type { PartitionReader } from '../../partition/reader.ts';
import type { SendStream } from '../../transport/transport.ts';
import { cutTopic, encodeFrameHeader, FRAME } from '../../wire/frame.ts';
import { RecordBatch } from '../../wire/record-batch-decoder.ts';
import type { RecordCursor } from '../../wire/record-cursor.ts';
import type { DeliverySink, SinkHost, SinkPump } from './delivery.ts';
import { deliveryUrgency } from './limits.ts';
import type { PumpScheduler } from '../pump-scheduler.ts';

/** Read from the log at once; less than for batches, because a compressed batch grows when it is taken apart. */
const READ_BYTES = 64 * 1024;

/** Frames gathered before they are written. */
const CHUNK_BYTES = 32 * 1024;

const EMPTY = Buffer.alloc(0);

/**
 * A partition of a raw subscription: one unidirectional stream of MESSAGE frames.
 *
 * Records are taken out of their batch only while the client reads. At most one batch stays inflated while it does not, and that only as long as
 * all that the node holds like this is within bounds: else it is inflated again once the client reads on, as a few kilobytes may be 16 MiB then.
 * That takes time, so it is done in a turn of the pump like everything else. A batch counts as taken when all of it is written.
 *
 * @see docs/protocol.md section 4
 */
export class RawSubscription implements DeliverySink {
  readonly readBytes = READ_BYTES;
  readonly #send: SendStream;
  readonly #pump: SinkPump;
  readonly #scheduler: PumpScheduler;
  readonly #topic: string;
  readonly #urgency: number;
  readonly #maxInflatedBytes: number;
  readonly #inflated: ByteBudget;
  /** Records below it are written, or belong to the batch the subscription began in, but were not asked for. */
  #nextOffset: number;
  /** The batch that is being written; the pump holds it until then. */
  #batch: Buffer | undefined;
  /** In it; undefined while only the place is remembered. */
  #cursor: RecordCursor | undefined;
  /** Of the node's bound, for what is inflated. */
  #heldBytes = 0;

  constructor(host: SinkHost, reader: PartitionReader, pump: SinkPump) {
    this.#pump = pump;
    this.#scheduler = host.session.context.scheduler;
    this.#topic = reader.topic;
    this.#urgency = host.urgency;
    this.#inflated = host.session.context.inflated;
    this.#nextOffset = reader.nextOffset;
    this.#maxInflatedBytes = host.session.context.limits.maxInflatedBytes;
    this.#send = host.session.connection.openUni();
    this.#send.setPriority(deliveryUrgency(host.urgency), true);
    this.#send.onWritable = pump.wake;
    this.#send.onStopped = pump.abandon;
  }

  get writable(): boolean {
    return this.#send.writable;
  }

  get blockedMs(): number {
    return this.#send.blockedMs;
  }

  /** @throws CORRUPT_BATCH, BATCH_TOO_LARGE, UNKNOWN_CODEC when a batch is not what its producer claimed */
  take(batches: readonly Buffer[], from: number): number {
    let at = from;
    while (at < batches.length && this.writable) {
      this.#batch = batches[at]!;
      if (!this.#writeOut()) break;
      at += 1;
      if (at === batches.length || !this.#scheduler.late) continue;
      this.#pump.wake();
      break;
    }
    return at;
  }

  setBehind(behind: boolean): void {
    this.#send.setPriority(deliveryUrgency(this.#urgency, behind), true);
  }

  takeGap(): void {
    // A raw subscription ends at a gap, and its reset says so.
  }

  finish(code: ErrorCode | undefined): void {
    this.#letGo();
    if (code === undefined) this.#send.end();
    else this.#send.reset(ERRORS[code].wire);
  }

  abandon(): void {
    this.#letGo();
  }

  /** Writes records while the client has room for them. @returns whether that was all of them */
  #writeOut(): boolean {
    while (this.#batch && this.#send.writable) this.#writeChunk(this.#batch);
    if (this.#cursor) this.#keep(this.#cursor);
    return this.#batch === undefined;
  }

  #writeChunk(batch: Buffer): void {
    const cursor = (this.#cursor ??= this.#openBatch(batch));
    const frames: Buffer[] = [];
    let bytes = 0;
    while (bytes < CHUNK_BYTES && this.#batch) {
      if (!cursor.next()) this.#letGo();
      else if (cursor.offset >= this.#nextOffset) bytes += this.#appendMessage(frames, cursor);
    }
    if (frames.length === 0) return;
    this.#nextOffset = cursor.offset + 1;
    this.#send.write(frames.length === 1 ? frames[0]! : Buffer.concat(frames, bytes));
  }

  /** Keeps an inflated batch while the client has no room, where that is within bounds. */
  #keep(cursor: RecordCursor): void {
    const { buffer, length } = cursor.bytes;
    if (this.#heldBytes > 0 || buffer === this.#batch?.buffer) return;
    if (this.#inflated.tryTake(length)) this.#heldBytes = length;
    else this.#cursor = undefined;
  }

  #letGo(): void {
    this.#inflated.give(this.#heldBytes);
    this.#heldBytes = 0;
    this.#cursor = undefined;
    this.#batch = undefined;
  }

  #openBatch(bytes: Buffer): RecordCursor {
    const batch = new RecordBatch(bytes, {
      inflatedMaxBytes: this.#maxInflatedBytes,
      verifyCrc: false,
    });
    return batch.cursor();
  }

  #appendMessage(frames: Buffer[], record: RecordCursor): number {
    const { key } = record;
    const value = record.value ?? EMPTY;
    const address = key === null ? this.#topic : cutTopic(`${this.#topic}/${key.toString()}`);
    const head = encodeFrameHeader(FRAME.MESSAGE, address, value.length);
    frames.push(head, value);
    return head.length + value.length;
  }
}

import type { ErrorCode } from '../../kernel/errors.ts';
import type { PartitionReader } from '../../partition/reader.ts';
import type { SendStream } from '../../transport/transport.ts';
import type { GapReason } from '../../wire/delivery.ts';
import { encodeEnd, encodeGap } from '../../wire/delivery.ts';
import { batchNextOffset } from '../../wire/record-batch.ts';
import { writeBatch } from './batch-frames.ts';
import type { DeliverySink, SinkHost, SinkPump } from './delivery.ts';
import { openDeliveryStream } from './delivery-stream.ts';
import { READ_BYTES } from './limits.ts';

/** Bytes that may wait in batch streams the client or the network has no room for. */
const MAX_WAITING_BYTES = 256 * 1024;

/**
 * Unordered delivery: a stream for each batch, so that a lost packet delays its own batch only.
 *
 * The pace is the client's credit; GAP and END have streams of their own.
 */
export class UnorderedDelivery implements DeliverySink {
  readonly readBytes = READ_BYTES;
  readonly #host: SinkHost;
  readonly #reader: PartitionReader;
  readonly #pump: SinkPump;
  /** Where what was sent ends. */
  #position: number;
  #behind = false;
  /** Streams whose bytes are not taken over, and the bytes of their batches. */
  readonly #waiting = new Set<SendStream>();
  #waitingBytes = 0;
  #blockedMs = 0;
  #withoutCreditSinceMs: number | undefined;

  constructor(host: SinkHost, reader: PartitionReader, pump: SinkPump) {
    this.#host = host;
    this.#reader = reader;
    this.#pump = pump;
    this.#position = reader.nextOffset;
  }

  /** Credit is of no interest here: it is the other partitions' too, and only {@link take} uses it up. */
  get writable(): boolean {
    return this.#waitingBytes < MAX_WAITING_BYTES;
  }

  /** Of all streams together, and of waiting for credit. */
  get blockedMs(): number {
    let blockedMs = this.#blockedMs;
    for (const send of this.#waiting) blockedMs += send.blockedMs;
    if (this.#withoutCreditSinceMs === undefined) return blockedMs;
    return blockedMs + this.#host.session.context.clock.monotonicMs() - this.#withoutCreditSinceMs;
  }

  take(batches: readonly Buffer[], from: number): number {
    let at = from;
    while (at < batches.length && this.writable && this.#hasCredit()) {
      this.#send(batches[at]!);
      at += 1;
    }
    return at;
  }

  setBehind(behind: boolean): void {
    this.#behind = behind;
  }

  takeGap(from: number, to: number, reason: GapReason): void {
    const send = this.#open();
    this.#position = to;
    send.write(encodeGap({ from, to, reason }));
    send.end();
  }

  finish(code: ErrorCode | undefined, text: string): void {
    this.abandon();
    const send = this.#open();
    send.write(encodeEnd({ error: code, message: text }));
    send.end();
  }

  /** Batches that are on their way stay so: the transport has them. */
  abandon(): void {
    this.#host.credit.forget(this.#pump);
    this.#noteCredit();
  }

  /** Asks to be woken when there is none. */
  #hasCredit(): boolean {
    const { credit, session } = this.#host;
    if (credit.available) {
      this.#noteCredit();
      return true;
    }
    credit.wait(this.#pump);
    this.#withoutCreditSinceMs ??= session.context.clock.monotonicMs();
    return false;
  }

  #noteCredit(): void {
    if (this.#withoutCreditSinceMs === undefined) return;
    this.#blockedMs += this.#host.session.context.clock.monotonicMs() - this.#withoutCreditSinceMs;
    this.#withoutCreditSinceMs = undefined;
  }

  #send(batch: Buffer): void {
    const send = this.#open();
    this.#host.credit.take();
    this.#position = batchNextOffset(batch);
    writeBatch(send, batch);
    this.#endOnceTaken(send, batch.length);
  }

  #open(): SendStream {
    return openDeliveryStream(this.#host, this.#reader, this.#position, this.#behind);
  }

  /** Ends the stream now, or when its bytes have been taken over; until then they count as waiting. */
  #endOnceTaken(send: SendStream, bytes: number): void {
    if (send.writable) {
      send.end();
      return;
    }
    this.#waiting.add(send);
    this.#waitingBytes += bytes;
    const taken = (): void => {
      send.onWritable = undefined;
      send.onStopped = undefined;
      this.#waiting.delete(send);
      this.#waitingBytes -= bytes;
      this.#blockedMs += send.blockedMs;
      send.end();
      this.#pump.wake();
    };
    send.onWritable = taken;
    send.onStopped = taken;
  }
}

import type { ErrorCode } from '../../kernel/errors.ts';
import type { PartitionReader } from '../../partition/reader.ts';
import type { SendStream } from '../../transport/transport.ts';
import type { GapReason } from '../../wire/delivery.ts';
import { encodeEnd, encodeGap } from '../../wire/delivery.ts';
import { writeBatches } from './batch-frames.ts';
import type { DeliverySink, SinkHost, SinkPump } from './delivery.ts';
import { openDeliveryStream } from './delivery-stream.ts';

/** Bytes that may wait in batch streams the client or the network has no room for. */
const MAX_WAITING_BYTES = 256 * 1024;

/**
 * Unordered delivery: a stream for each batch, so that a lost packet delays its own batch only.
 *
 * The pace is the client's credit; GAP and END have streams of their own.
 */
export class UnorderedDelivery implements DeliverySink {
  /** One batch at a time: a read may find more than there is credit for. */
  readonly readBytes = 1;
  readonly #host: SinkHost;
  readonly #reader: PartitionReader;
  readonly #pump: SinkPump;
  #position: number;
  #behind = false;
  #waitingBytes = 0;
  #finishedStreamsBlockedMs = 0;

  constructor(host: SinkHost, reader: PartitionReader, pump: SinkPump) {
    this.#host = host;
    this.#reader = reader;
    this.#pump = pump;
    this.#position = reader.nextOffset;
  }

  get writable(): boolean {
    if (this.#waitingBytes >= MAX_WAITING_BYTES) return false;
    if (this.#host.credit.available) return true;
    this.#host.credit.wait(this.#pump);
    return false;
  }

  get blockedMs(): number {
    return this.#finishedStreamsBlockedMs;
  }

  takeBatches(batches: readonly Buffer[]): number {
    let total = 0;
    for (const batch of batches) {
      this.#host.credit.take();
      const send = this.#open();
      total += writeBatches(send, [batch]);
      this.#endOnceTaken(send, batch.length);
    }
    return total;
  }

  setBehind(behind: boolean): void {
    this.#behind = behind;
  }

  takeGap(from: number, to: number, reason: GapReason): void {
    const send = this.#open();
    send.write(encodeGap({ from, to, reason }));
    send.end();
  }

  finish(code: ErrorCode | undefined, text: string): void {
    this.#host.credit.forget(this.#pump);
    const send = this.#open();
    send.write(encodeEnd({ error: code, message: text }));
    send.end();
  }

  #open(): SendStream {
    const send = openDeliveryStream(this.#host, this.#reader, this.#position, this.#behind);
    this.#position = this.#reader.nextOffset;
    return send;
  }

  /** Ends the stream now, or when its bytes have been taken over; until then they count as waiting. */
  #endOnceTaken(send: SendStream, bytes: number): void {
    if (send.writable) {
      send.end();
      return;
    }
    this.#waitingBytes += bytes;
    const taken = (): void => {
      send.onWritable = undefined;
      send.onStopped = undefined;
      this.#waitingBytes -= bytes;
      this.#finishedStreamsBlockedMs += send.blockedMs;
      send.end();
      this.#pump.wake();
    };
    send.onWritable = taken;
    send.onStopped = taken;
  }
}

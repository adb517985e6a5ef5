import type { ErrorCode } from '../../kernel/errors.ts';
import { StreamOpenSchema } from '../../gen/sluice/client/v1/subscription_pb.ts';
import type { PartitionReader } from '../../partition/reader.ts';
import type { SendStream } from '../../transport/transport.ts';
import { encodeControl } from '../../wire/control.ts';
import type { GapReason } from '../../wire/delivery.ts';
import { encodeEnd, encodeGap } from '../../wire/delivery.ts';
import { FRAME } from '../../wire/frame.ts';
import { offsetToWire } from '../../wire/offset.ts';
import { writeBatch } from './batch-frames.ts';
import type { DeliverySink, SinkHost, SinkPump } from './delivery.ts';
import { deliveryUrgency, READ_BYTES } from './limits.ts';

/** A delivery stream with its STREAM_OPEN written. @throws CLOSED when the connection is closed */
export function openDeliveryStream(
  host: SinkHost,
  reader: PartitionReader,
  firstOffset: number,
  behind = false,
): SendStream {
  const send = host.session.connection.openUni();
  send.setPriority(deliveryUrgency(host.urgency, behind), true);
  send.write(
    encodeControl(
      FRAME.STREAM_OPEN,
      StreamOpenSchema,
      {
        subscriptionId: host.subscriptionId,
        partition: reader.partition,
        firstOffset: offsetToWire(firstOffset),
        leaderEpoch: reader.leaderEpoch,
      },
      reader.topic,
    ),
  );
  return send;
}

/** Ordered delivery: one stream, every batch in order; the client's window of that stream is the pace. */
export class DeliveryStream implements DeliverySink {
  readonly #send: SendStream;
  readonly #urgency: number;

  constructor(host: SinkHost, reader: PartitionReader, pump: SinkPump) {
    this.#urgency = host.urgency;
    this.#send = openDeliveryStream(host, reader, reader.nextOffset);
    this.#send.onWritable = pump.wake;
    this.#send.onStopped = pump.abandon;
  }

  get readBytes(): number {
    return READ_BYTES;
  }

  get writable(): boolean {
    return this.#send.writable;
  }

  get blockedMs(): number {
    return this.#send.blockedMs;
  }

  /** Takes all: what a stream holds beyond its window is one read at most. */
  take(batches: readonly Buffer[], from: number): number {
    for (let at = from; at < batches.length; at += 1) writeBatch(this.#send, batches[at]!);
    return batches.length;
  }

  setBehind(behind: boolean): void {
    this.#send.setPriority(deliveryUrgency(this.#urgency, behind), true);
  }

  takeGap(from: number, to: number, reason: GapReason): void {
    this.#send.write(encodeGap({ from, to, reason }));
  }

  finish(code: ErrorCode | undefined, text: string): void {
    this.#send.write(encodeEnd({ error: code, message: text }));
    this.#send.end();
  }

  abandon(): void {
    // It holds nothing.
  }
}

import type { Timer } from '../../kernel/clock.ts';
import type { ErrorCode } from '../../kernel/errors.ts';
import type { PartitionReader } from '../../partition/reader.ts';
import type { SendStream } from '../../transport/transport.ts';
import type { GapReason } from '../../wire/delivery.ts';
import {
  datagramOverheadBytes,
  encodeDatagram,
  encodeEnd,
  encodeGap,
  GAP_REASON,
} from '../../wire/delivery.ts';
import { batchBaseOffset, batchNextOffset, batchRecordCount } from '../../wire/record-batch.ts';
import { writeBatch } from './batch-frames.ts';
import { splitBatch } from './batch-split.ts';
import type { DeliverySink, SinkHost, SinkPump } from './delivery.ts';
import { openDeliveryStream } from './delivery-stream.ts';
import { READ_BYTES } from './limits.ts';

/** How long to wait before a datagram that was not taken is tried again. */
const RETRY_MS = 5;

/** After this time of trying, what is newer takes the place of what could not be sent. */
const STALE_AFTER_MS = 50;

/** Ranges of offsets that wait to be told as gaps; beyond it the last two become one that spans both. */
const MAX_GAPS = 1024;

/** Batch small enough for one datagram. */
interface Piece {
  readonly batch: Buffer;
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
}

interface Gap {
  readonly from: number;
  readonly to: number;
  readonly reason: GapReason;
}

/**
 * Datagram delivery: each batch, split where needed, in datagrams that are sent once. The newest wins.
 *
 *     taken by the transport ──> gone; nobody repeats it
 *     not taken ──> held, tried again for 50 ms; then newer batches replace it and it becomes a GAP (reason 3)
 *     too large ──> delivery stream, if it has room; else a GAP
 *
 * Where the transport has no datagrams, everything goes to the delivery stream, at the pace of its window.
 */
export class DatagramDelivery implements DeliverySink {
  readonly readBytes = READ_BYTES;
  readonly #host: SinkHost;
  readonly #pump: SinkPump;
  readonly #topic: string;
  readonly #partition: number;
  readonly #send: SendStream;
  readonly #overheadBytes: number;
  #gaps: Gap[] = [];
  #held: Piece | undefined;
  #heldSinceMs = 0;
  #stale = false;
  #retry: Timer | undefined;

  constructor(host: SinkHost, reader: PartitionReader, pump: SinkPump) {
    this.#host = host;
    this.#pump = pump;
    this.#topic = reader.topic;
    this.#partition = reader.partition;
    this.#overheadBytes = datagramOverheadBytes(reader.topic);
    this.#send = openDeliveryStream(host, reader, reader.nextOffset);
    this.#send.onWritable = () => this.#streamWritable();
    this.#send.onStopped = pump.abandon;
  }

  get writable(): boolean {
    if (this.#host.session.connection.maxDatagramBytes === 0) return this.#send.writable;
    return this.#held === undefined || this.#stale;
  }

  get blockedMs(): number {
    return this.#send.blockedMs;
  }

  /** @throws CORRUPT_BATCH, BATCH_TOO_LARGE when a batch has to be split and its records make no sense */
  take(batches: readonly Buffer[], from: number): number {
    let at = from;
    while (at < batches.length && this.writable) {
      const batch = batches[at]!;
      if (batchRecordCount(batch) > 0) this.#takeBatch(batch);
      at += 1;
      // A batch that has to be split is inflated, which takes more time than its bytes tell.
      if (at === batches.length || !this.#host.session.context.scheduler.late) continue;
      this.#pump.wake();
      break;
    }
    this.#tellGaps();
    return at;
  }

  setBehind(): void {
    // Old records give way to newer ones here anyway.
  }

  takeGap(from: number, to: number, reason: GapReason): void {
    this.#addGap({ from, to, reason });
    this.#tellGaps();
  }

  finish(code: ErrorCode | undefined, text: string): void {
    this.#retry?.cancel();
    if (this.#held) this.#giveUp(this.#held);
    this.#writeGaps();
    this.#send.write(encodeEnd({ error: code, message: text }));
    this.#send.end();
  }

  abandon(): void {
    this.#retry?.cancel();
    this.#held = undefined;
    this.#gaps = [];
  }

  #takeBatch(batch: Buffer): void {
    const room = this.#host.session.connection.maxDatagramBytes - this.#overheadBytes;
    if (batch.length <= room) {
      this.#offer({ batch, from: batchBaseOffset(batch), to: batchNextOffset(batch) });
      return;
    }
    if (room <= 0) {
      this.#toStream(batch, true);
      return;
    }
    const { limits, encoder } = this.#host.session.context;
    const bounds = { maxBytes: room, maxInflatedBytes: limits.maxInflatedBytes };
    for (const piece of splitBatch(batch, bounds, encoder)) {
      if (piece.length <= room) {
        this.#offer({ batch: piece, from: batchBaseOffset(piece), to: batchNextOffset(piece) });
      } else {
        this.#toStream(piece, false);
      }
    }
  }

  /** The held piece has its try first, so that nothing overtakes without need. */
  #offer(piece: Piece): void {
    if (this.#held && !this.#tryHeld()) this.#giveUp(this.#held);
    if (this.#trySend(piece)) return;
    this.#held = piece;
    if (!this.#retry) {
      this.#heldSinceMs = this.#host.session.context.clock.monotonicMs();
      this.#armRetry();
    }
  }

  #trySend(piece: Piece): boolean {
    const frame = encodeDatagram({
      topic: this.#topic,
      subscription: this.#host.subscriptionId,
      partition: this.#partition,
      batch: piece.batch,
    });
    return this.#host.session.connection.sendDatagram(frame);
  }

  #tryHeld(): boolean {
    if (!this.#held || !this.#trySend(this.#held)) return false;
    this.#held = undefined;
    this.#stale = false;
    this.#retry?.cancel();
    this.#retry = undefined;
    return true;
  }

  #armRetry(): void {
    const { clock } = this.#host.session.context;
    this.#retry = clock.setTimer(RETRY_MS, () => {
      if (this.#tryHeld()) {
        this.#pump.wake();
        return;
      }
      this.#armRetry();
      if (this.#stale || clock.monotonicMs() - this.#heldSinceMs < STALE_AFTER_MS) return;
      this.#stale = true;
      this.#pump.wake();
    });
  }

  #toStream(batch: Buffer, paced: boolean): void {
    if (paced || this.#send.writable) {
      this.#writeGaps();
      writeBatch(this.#send, batch);
      return;
    }
    this.#giveUp({ batch, from: batchBaseOffset(batch), to: batchNextOffset(batch) });
  }

  #giveUp(piece: Piece): void {
    if (piece === this.#held) this.#held = undefined;
    this.#addGap({ from: piece.from, to: piece.to, reason: GAP_REASON.NOT_SENT });
  }

  /** Keeps the gaps in order; what is held may become one after something newer did. */
  #addGap(gap: Gap): void {
    const gaps = this.#gaps;
    let at = gaps.length;
    while (at > 0 && gaps[at - 1]!.from > gap.from) at -= 1;
    gaps.splice(at, 0, gap);
    this.#mergeAt(at);
    this.#mergeAt(at - 1);
    if (gaps.length <= MAX_GAPS) return;
    const last = gaps.pop()!;
    gaps[gaps.length - 1] = { ...gaps[gaps.length - 1]!, to: last.to };
  }

  /** Makes one of the gap at `at` and the next one if they adjoin. */
  #mergeAt(at: number): void {
    const gap = this.#gaps[at];
    const next = this.#gaps[at + 1];
    if (gap?.to !== next?.from || gap?.reason !== next?.reason || !gap || !next) return;
    this.#gaps.splice(at, 2, { ...gap, to: next.to });
  }

  #tellGaps(): void {
    if (this.#gaps.length > 0 && this.#send.writable) this.#writeGaps();
  }

  #writeGaps(): void {
    if (this.#gaps.length === 0) return;
    this.#send.write(Buffer.concat(this.#gaps.map(encodeGap)));
    this.#gaps = [];
  }

  #streamWritable(): void {
    this.#tellGaps();
    this.#pump.wake();
  }
}

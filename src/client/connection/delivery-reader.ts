import { asSluiceError, ERRORS, errorCodeFromWire, SluiceError } from '../../kernel/errors.ts';
import { offsetFromWire } from '../../wire/offset.ts';
import { StreamOpenSchema } from '../../gen/sluice/client/v1/subscription_pb.ts';
import type { ReceiveStream } from '../../transport/transport.ts';
import { decodeControl } from '../../wire/control.ts';
import type { EndFrame, GapFrame } from '../../wire/delivery.ts';
import { decodeEnd, decodeGap } from '../../wire/delivery.ts';
import type { FrameLimits } from '../../wire/frame.ts';
import { FRAME, frameName } from '../../wire/frame.ts';
import { FrameReader } from '../../wire/frame-reader.ts';

/** Where a delivery stream's frames go: the subscription that its STREAM_OPEN names. */
export interface DeliverySink {
  /** The stream is known now; `reader.topic`, `partition` and `firstOffset` are set. */
  opened(reader: DeliveryReader): void;
  /** One batch; the sink owns the bytes. What it throws ends the stream and comes back in {@link broken}. */
  batch(reader: DeliveryReader, batch: Buffer): void;
  gap(reader: DeliveryReader, gap: GapFrame): void;
  /** END came: the broker says that nothing more does. */
  ended(reader: DeliveryReader, end: EndFrame): void;
  /** The stream is over after its last byte; not called after {@link broken}. */
  finished(reader: DeliveryReader): void;
  /** The broker sent what makes no sense, or a batch could not be taken; nothing more comes. */
  broken(reader: DeliveryReader, error: SluiceError): void;
  /** The broker reset the stream, or the connection is gone. */
  lost(reader: DeliveryReader, error: SluiceError): void;
}

/** Finds the subscription a stream belongs to; undefined when it is not wanted any more. */
export type SinkLookup = (subscriptionId: number) => DeliverySink | undefined;

/** Reads one delivery stream, docs/protocol.md section 7. */
export class DeliveryReader {
  topic = '';
  partition = 0;
  /** First offset that the subscription wants from this stream. */
  firstOffset = 0;
  readonly #receive: ReceiveStream;
  readonly #frames: FrameReader;
  readonly #lookup: SinkLookup;
  readonly #onUnclear: (error: SluiceError) => void;
  #sink: DeliverySink | undefined;
  #over = false;

  /**
   * @param limits bounds of the frames
   * @param onUnclear called when the stream breaks before it says whose it is: the connection is not to be trusted
   */
  constructor(
    receive: ReceiveStream,
    limits: FrameLimits,
    lookup: SinkLookup,
    onUnclear: (error: SluiceError) => void,
  ) {
    this.#receive = receive;
    this.#lookup = lookup;
    this.#onUnclear = onUnclear;
    this.#frames = new FrameReader(limits, (type, topic, payload) => this.#frame(type, topic, payload));
    receive.onData = (chunk) => this.#guard(() => this.#frames.push(chunk));
    receive.onEnd = () => this.#ended();
    receive.onReset = (code) => this.#reset(code);
  }

  /** Stops reading: the broker may fill the stream's window and then waits. */
  pause(): void {
    this.#receive.pause();
  }

  resume(): void {
    this.#receive.resume();
  }

  /** Nothing of this stream is wanted any more; its sink hears no more of it. Idempotent. */
  stop(): void {
    if (this.#over) return;
    this.#over = true;
    this.#frames.stop();
    this.#receive.stop(ERRORS.CANCELLED.wire);
  }

  #guard(work: () => void): void {
    if (this.#over) return;
    try {
      work();
    } catch (error) {
      this.#break(asSluiceError(error, 'PROTOCOL_ERROR'));
    }
  }

  #break(error: SluiceError): void {
    if (this.#over) return;
    this.stop();
    if (this.#sink === undefined) this.#onUnclear(error);
    else this.#sink.broken(this, error);
  }

  #frame(type: number, topic: string, payload: Buffer): void {
    if (this.#sink === undefined) {
      this.#open(type, topic, payload);
      return;
    }
    switch (type) {
      case FRAME.BATCH: {
        this.#sink.batch(this, payload);
        return;
      }
      case FRAME.GAP: {
        this.#sink.gap(this, decodeGap(payload));
        return;
      }
      case FRAME.END: {
        this.#sink.ended(this, decodeEnd(payload));
        return;
      }
      default:
        throw new SluiceError('PROTOCOL_ERROR', `${frameName(type)} makes no sense on a delivery stream`);
    }
  }

  #open(type: number, topic: string, payload: Buffer): void {
    if (type !== FRAME.STREAM_OPEN) {
      throw new SluiceError('PROTOCOL_ERROR', `a delivery stream began with ${frameName(type)}`);
    }
    const open = decodeControl(StreamOpenSchema, payload);
    this.topic = topic;
    this.partition = open.partition;
    this.firstOffset = offsetFromWire(open.firstOffset);
    const sink = this.#lookup(open.subscriptionId);
    if (sink === undefined) {
      this.stop();
      return;
    }
    this.#sink = sink;
    sink.opened(this);
  }

  #ended(): void {
    this.#guard(() => {
      this.#frames.end();
      this.#over = true;
      this.#sink?.finished(this);
    });
  }

  #reset(code: number): void {
    if (this.#over) return;
    this.#over = true;
    this.#frames.stop();
    const error = new SluiceError(
      code === 0 ? 'CLOSED' : errorCodeFromWire(code),
      'the delivery stream was reset',
    );
    this.#sink?.lost(this, error);
  }
}

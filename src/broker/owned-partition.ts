import type { OpenReader } from '../groups/ports.ts';
import { Backoff } from '../kernel/backoff.ts';
import type { Clock, Timer } from '../kernel/clock.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import { asSluiceError, SluiceError } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';
import type { Place } from '../partition/place-table.ts';
import type { PartitionReader, Start } from '../partition/reader.ts';
import type { GroupPosition } from './member-commits.ts';

/** What a partition needs of its member. */
export interface OwnedPartitionHost {
  readonly clock: Clock;
  readonly random: Random;
  openReader(place: Place, start: Start): Promise<OpenReader>;
  /** Its reader is open. */
  opened(reader: PartitionReader): void;
  /** It can never be read. */
  failed(error: SluiceError): void;
}

const RETRY = { minMs: 50, maxMs: 2_000 };
const EARLIEST: Start = { at: 'earliest' };
/** This node has not heard yet of what the coordinator knows; or it is gone, and the coordinator takes it away. */
const UNHEARD: ReadonlySet<ErrorCode> = new Set(['TOPIC_NOT_FOUND', 'PARTITION_NOT_FOUND']);

/** A partition that a member has, or is giving up. Once started it is opened where the group has come to, however long that takes. */
export class OwnedPartition implements Place {
  readonly topic: string;
  readonly partition: number;
  readonly #host: OwnedPartitionHost;
  readonly #offset: number;
  #reader: OpenReader | undefined;
  #retry: Timer | undefined;
  #isClosed = false;

  constructor(host: OwnedPartitionHost, { topic, partition, offset }: GroupPosition) {
    this.#host = host;
    this.topic = topic;
    this.partition = partition;
    this.#offset = offset;
  }

  /** Opens its reader, and goes on trying. To be called once. */
  start(): void {
    void this.#open({ at: 'offset', offset: this.#offset }, new Backoff(RETRY, this.#host.random));
  }

  /** Whether it has a reader. */
  get isOpen(): boolean {
    return this.#reader !== undefined;
  }

  /** Reads no more; a reader that is opened later is closed at once. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#retry?.cancel();
    this.#reader?.close();
    this.#reader = undefined;
  }

  async #open(start: Start, backoff: Backoff): Promise<void> {
    try {
      const opened = await this.#host.openReader(this, start);
      if (this.#isClosed) opened.close();
      else {
        this.#reader = opened;
        this.#host.opened(opened.reader);
      }
    } catch (error) {
      if (!this.#isClosed) this.#refused(asSluiceError(error), start, backoff);
    }
  }

  #refused({ code, message, retryable }: SluiceError, start: Start, backoff: Backoff): void {
    if (code === 'OFFSET_OUT_OF_RANGE' && start !== EARLIEST) {
      // Records that were committed are lost. What has come in their place is new, so nothing of what there is may be left out.
      void this.#open(EARLIEST, backoff);
    } else if (UNHEARD.has(code) || (retryable && code !== 'DRAINING')) {
      this.#retry = this.#host.clock.setTimer(backoff.nextMs(), () => void this.#open(start, backoff));
    } else {
      this.#host.failed(
        new SluiceError(code, `${this.topic}/${this.partition} from offset ${this.#offset}: ${message}`),
      );
    }
  }
}

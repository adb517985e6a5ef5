import type { Position } from '../../../broker/views.ts';
import { asSluiceError, SluiceError } from '../../../kernel/errors.ts';
import type { Place } from '../../../partition/place-table.ts';
import type { PartitionReader, ReadResult } from '../../../partition/reader.ts';
import type { Pump, TurnAccount } from '../../turn-account.ts';
import type { RecordEncoding } from '../../../wire/record-json.ts';
import { recordJson } from '../../../wire/record-json.ts';
import type { FeedHost } from './feed.ts';
import { HeldRecords } from './held-records.ts';
import { READ_BYTES, TURN_BYTES } from './stream-limits.ts';

/** What a client wants of the records. */
export interface PumpOptions {
  readonly encoding: RecordEncoding;
  /** Undefined: all, or the readers leave out the others themselves. */
  readonly matchesKey: ((key: Buffer | null) => boolean) | undefined;
  /** Records to be written until the client allows more. */
  readonly credit: number;
}

/** One partition that is read. */
export interface Lane extends Place {
  readonly reader: PartitionReader;
  /** The first offset that the client has not been given. */
  position: number;
  /** It waits for its turn to be read. */
  isReady: boolean;
  isGone: boolean;
}

/** What is being written. */
interface Current {
  readonly lane: Lane;
  readonly records: HeldRecords;
}

/** What a step cost when nothing more can be done now. */
const NOTHING = -1;
/** What a read costs a turn that found nothing the client wants. */
const EMPTY_READ_COST_BYTES = READ_BYTES;
/** Records between looks at the clock. */
const RECORDS_PER_STEP = 64;
const GAP_REASONS = { 1: 'retention', 2: 'deleted' } as const;

/**
 * Moves records of some partitions to one client at the client's pace, a read of each partition in turn.
 *
 *     readers ── one read of 64 KiB at a time ──> records ── JSON, while the outlet is writable ──> client
 *
 * A client that does not read makes the outlet unwritable, and then no log is read. At most one read is held.
 */
export class ReaderPump implements Pump {
  scheduled = false;
  readonly account: TurnAccount;
  /** Asks for a turn: there may be something to read, or room to write. */
  readonly wake = (): void => {
    if (!this.#isOver) this.#host.context.scheduler.wake(this);
  };
  readonly #host: FeedHost;
  readonly #options: PumpOptions;
  readonly #lanes = new Map<string, Lane>();
  /** Those that may have something to be read, in the order of their turns. */
  #ready: Lane[] = [];
  #current: Current | undefined;
  #isReading = false;
  #credit: number;
  #isOver = false;

  constructor(host: FeedHost, options: PumpOptions) {
    this.#host = host;
    this.#options = options;
    this.#credit = options.credit;
    this.account = host.account;
  }

  get lanes(): Iterable<Lane> {
    return this.#lanes.values();
  }

  get positions(): readonly Position[] {
    return [...this.#lanes.values()].map(({ topic, partition, position }) => ({
      ...{ topic, partition, offset: position },
    }));
  }

  lane(place: Place): Lane | undefined {
    return this.#lanes.get(keyOf(place));
  }

  /** Reads a partition too; whoever opened the reader closes it. */
  add(reader: PartitionReader): void {
    const { maxPartitions } = this.#host.context.limits;
    if (this.#lanes.size >= maxPartitions) {
      const text = `a stream reads at most ${maxPartitions} partitions: choose some`;
      this.#host.end(new SluiceError('OVERLOADED', text));
      return;
    }
    const { topic, partition, nextOffset } = reader;
    const lane: Lane = { reader, topic, partition, position: nextOffset, isReady: false, isGone: false };
    reader.onReadable = () => this.#offer(lane);
    this.#lanes.set(keyOf(lane), lane);
    this.#offer(lane);
  }

  /** Writes nothing more of a partition. */
  drop(place: Place): Lane | undefined {
    const lane = this.lane(place);
    if (!lane) return undefined;
    lane.isGone = true;
    lane.reader.onReadable = undefined;
    this.#lanes.delete(keyOf(lane));
    this.#ready = this.#ready.filter((each) => each !== lane);
    if (this.#current?.lane === lane) this.#letGo();
    return lane;
  }

  /** The client wants so many records more. */
  grant(records: number): void {
    this.#credit = Math.min(this.#credit + records, this.#host.context.limits.maxCredit);
    this.wake();
  }

  pump(): boolean {
    try {
      return this.#turn();
    } catch (error) {
      this.#host.end(asSluiceError(error));
      return false;
    } finally {
      this.#current?.records.rest();
    }
  }

  /** Idempotent. */
  close(): void {
    this.#isOver = true;
    this.#letGo();
    for (const lane of this.#lanes.values()) {
      lane.isGone = true;
      lane.reader.onReadable = undefined;
    }
    this.#ready = [];
  }

  #turn(): boolean {
    const { context, outlet } = this.#host;
    let budget = TURN_BYTES;
    while (!this.#isOver && outlet.writable && this.#credit > 0) {
      const cost = this.#current ? this.#write(this.#current) : this.#read();
      if (cost === NOTHING) return false;
      budget -= cost;
      if (budget <= 0 || context.scheduler.late) return true;
    }
    return false;
  }

  #offer(lane: Lane): void {
    this.#line(lane);
    this.wake();
  }

  #line(lane: Lane): void {
    if (lane.isGone || lane.isReady) return;
    lane.isReady = true;
    this.#ready.push(lane);
  }

  #read(): number {
    if (this.#isReading) return NOTHING;
    const lane = this.#ready.shift();
    if (!lane) return NOTHING;
    lane.isReady = false;
    const result = lane.reader.read(READ_BYTES);
    if (!(result instanceof Promise)) {
      this.#take(lane, result);
      return EMPTY_READ_COST_BYTES;
    }
    this.#isReading = true;
    void result.then((late) => {
      this.#isReading = false;
      if (this.#isOver) return;
      this.#take(lane, late);
      this.wake();
    });
    return NOTHING;
  }

  #take(lane: Lane, result: ReadResult): void {
    if (lane.isGone) return;
    switch (result.kind) {
      case 'batches': {
        const { inflated, limits } = this.#host.context;
        const bounds = { inflated, maxInflatedBytes: limits.maxInflatedBytes };
        this.#current = { lane, records: new HeldRecords(result.batches, lane.position, bounds) };
        return;
      }
      case 'gap':
        this.#tellGap(lane, result);
        this.#line(lane);
        return;
      case 'idle':
        // Also past records that the reader has left out.
        lane.position = lane.reader.nextOffset;
        return;
      case 'ended':
        this.#ended(lane, result);
    }
  }

  #tellGap(lane: Lane, { from, to, reason }: Extract<ReadResult, { kind: 'gap' }>): void {
    const { topic, partition } = lane;
    lane.position = to;
    const fields = { topic, partition, from, to, reason: GAP_REASONS[reason] };
    this.#host.outlet.notice('gap', fields, () => this.positionText());
  }

  #ended(lane: Lane, { code }: Extract<ReadResult, { kind: 'ended' }>): void {
    const { topic, partition } = lane;
    this.drop(lane);
    if (code === undefined) this.#host.outlet.notice('partition-ended', { topic, partition });
    else this.#host.end(new SluiceError(code, `${topic}/${partition} cannot be read`));
  }

  /** Where to go on after all that was written, as it is in the ids of events: `partition:offset,…`. */
  positionText(): string {
    let text = '';
    for (const { partition, position } of this.#lanes.values())
      text += `${text === '' ? '' : ','}${partition}:${position}`;
    return text;
  }

  /** Some of the records at hand. @returns bytes */
  #write({ lane, records }: Current): number {
    const { outlet, context } = this.#host;
    const { encoding, matchesKey } = this.#options;
    let bytes = 0;
    for (let count = 0; count < RECORDS_PER_STEP; count++) {
      if (!outlet.writable || this.#credit <= 0) return bytes;
      const record = records.next();
      if (!record) {
        this.#letGo();
        // Also past records that are no more, or were not wanted.
        lane.position = lane.reader.nextOffset;
        this.#line(lane);
        return bytes;
      }
      lane.position = record.offset + 1;
      if (matchesKey && !matchesKey(record.key)) continue;
      bytes += outlet.record(recordJson(record, lane, encoding), () => this.positionText());
      this.#credit -= 1;
      context.counters.records += 1;
    }
    return bytes;
  }

  #letGo(): void {
    this.#current?.records.release();
    this.#current = undefined;
  }
}

function keyOf({ topic, partition }: Place): string {
  return `${topic}/${partition}`;
}

import type { OpenReader, PublishedAt, TopicFacts, Topics } from '../../../src/groups/ports.ts';
import { SluiceError } from '../../../src/kernel/errors.ts';
import type { PartitionReader, ReadResult, Start } from '../../../src/partition/reader.ts';
import {
  batchBaseOffset,
  batchBaseSequence,
  batchNextOffset,
  batchProducerId,
  stampBatch,
} from '../../../src/wire/record-batch.ts';
import { RecordBatch } from '../../../src/wire/record-batch-decoder.ts';
import { RecordBatchEncoder } from '../../../src/wire/record-batch-encoder.ts';
import type { WireRecord } from '../../../src/wire/record-cursor.ts';

/** A record to be published. */
export interface NewRecord {
  readonly key?: string;
  readonly value?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A record as one can compare it. */
export interface PlainRecord {
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** One partition: real batches in memory. */
class FakePartition {
  readonly batches: Buffer[] = [];
  start = 0;
  end = 0;
  /** Next sequence of each producer, and where its batches are. */
  readonly producers = new Map<number, { next: number; stored: Map<string, number> }>();
  readonly readers = new Set<FakeReader>();

  append(batch: Buffer): number {
    const baseOffset = this.end;
    stampBatch(batch, baseOffset, 1);
    this.batches.push(batch);
    this.end = batchNextOffset(batch);
    for (const reader of this.readers) reader.wake();
    return baseOffset;
  }

  /** Loses what is newer, as a leader does that has less than the one before it. */
  loseFrom(offset: number): void {
    this.end = offset;
    while (this.batches.length > 0 && batchNextOffset(this.batches.at(-1)!) > offset) this.batches.pop();
    for (const reader of this.readers) reader.wake();
  }

  /** Forgets what is older, as retention does. */
  cutTo(offset: number): void {
    this.start = offset;
    while (this.batches[0] && batchNextOffset(this.batches[0]) <= offset) this.batches.shift();
    for (const reader of this.readers) reader.wake();
  }
}

class FakeReader implements PartitionReader {
  readonly topic: string;
  readonly partition: number;
  readonly leaderEpoch = 1;
  gapRecords = 0;
  onReadable: (() => void) | undefined = undefined;
  nextOffset: number;
  readonly #topics: FakeTopics;
  readonly #log: FakePartition;
  #isClosed = false;

  constructor(topics: FakeTopics, topic: string, partition: number, log: FakePartition, offset: number) {
    this.#topics = topics;
    this.topic = topic;
    this.partition = partition;
    this.#log = log;
    this.nextOffset = offset;
    log.readers.add(this);
  }

  get logStart(): number | undefined {
    return this.#isClosed ? undefined : this.#log.start;
  }

  read(maxBytes: number): ReadResult | Promise<ReadResult> {
    this.#topics.reads++;
    return this.#topics.isSlow ? Promise.resolve().then(() => this.#read(maxBytes)) : this.#read(maxBytes);
  }

  lag(): { records: number; bytes: number; ms: number } {
    return { records: this.#log.end - this.nextOffset, bytes: 0, ms: 0 };
  }

  wake(): void {
    const { onReadable } = this;
    this.onReadable = undefined;
    onReadable?.();
  }

  close(): void {
    this.#isClosed = true;
    this.#log.readers.delete(this);
  }

  #read(maxBytes: number): ReadResult {
    if (this.#isClosed) return { kind: 'ended', code: undefined };
    const log = this.#log;
    if (this.nextOffset > log.end) return { kind: 'ended', code: 'OFFSET_OUT_OF_RANGE' };
    if (this.nextOffset < log.start) {
      const from = this.nextOffset;
      this.nextOffset = log.start;
      return { kind: 'gap', from, to: log.start, reason: 1 };
    }
    const batches: Buffer[] = [];
    let bytes = 0;
    for (const batch of log.batches) {
      if (batchNextOffset(batch) <= this.nextOffset) continue;
      if (batches.length > 0 && bytes + batch.length > maxBytes) break;
      batches.push(batch);
      bytes += batch.length;
      this.nextOffset = batchNextOffset(batch);
    }
    return batches.length > 0 ? { kind: 'batches', batches } : { kind: 'idle' };
  }
}

interface FakeTopic {
  readonly facts: TopicFacts;
  readonly partitions: FakePartition[];
}

/** Topics with real batches, which may fail, be slow, or lose what is old. */
export class FakeTopics implements Topics {
  reads = 0;
  /** Reads take a turn, as those of a disk do. */
  isSlow = false;
  isAutoCreating = true;
  /** Called before each publish; what it throws is thrown. */
  onPublish: (topic: string, batch: Buffer) => void | Promise<void> = () => undefined;
  /** Called after a publish was stored, before its answer. */
  onPublished: () => void | Promise<void> = () => undefined;
  readonly #topics = new Map<string, FakeTopic>();
  readonly #listeners = new Set<(name: string) => void>();
  #ids = 0;

  make(name: string, partitions = 1): this {
    const facts = { id: `${name}-${this.#ids++}`, name, partitions };
    const made = Array.from({ length: partitions }, () => new FakePartition());
    this.#topics.set(name, { facts, partitions: made });
    this.#changed(name);
    return this;
  }

  delete(name: string): void {
    const topic = this.#topics.get(name);
    this.#topics.delete(name);
    for (const partition of topic?.partitions ?? []) {
      for (const reader of [...partition.readers]) {
        reader.close();
        reader.wake();
      }
    }
    this.#changed(name);
  }

  addPartitions(name: string, partitions: number): void {
    const topic = this.#topics.get(name)!;
    while (topic.partitions.length < partitions) topic.partitions.push(new FakePartition());
    this.#topics.set(name, { ...topic, facts: { ...topic.facts, partitions } });
    this.#changed(name);
  }

  /** Publishes records as one batch. @returns the offset of the first */
  put(name: string, records: readonly NewRecord[] | number, partition = 0): number {
    const list =
      typeof records === 'number' ? Array.from({ length: records }, (): NewRecord => ({})) : records;
    const encoder = new RecordBatchEncoder();
    for (const { key, value = 'v', headers = {} } of list) {
      const wired = Object.entries(headers).map(([name, text]) => ({ key: name, value: Buffer.from(text) }));
      encoder.append(key === undefined ? null : Buffer.from(key), Buffer.from(value), wired, 1000);
    }
    return this.log(name, partition).append(encoder.finish({ codec: 'none' }));
  }

  /** What is stored of a partition. */
  log(name: string, partition = 0): FakePartition {
    const log = this.#topics.get(name)?.partitions[partition];
    if (!log) throw new SluiceError('TOPIC_NOT_FOUND', `no ${name}`);
    return log;
  }

  /** All records of a topic, partition after partition. */
  records(name: string): PlainRecord[] {
    const { partitions } = this.#topics.get(name) ?? { partitions: [] };
    return partitions.flatMap(({ batches }) => batches.flatMap((batch) => plainRecords(batch)));
  }

  find(name: string): TopicFacts | undefined {
    return this.#topics.get(name)?.facts;
  }

  all(): TopicFacts[] {
    return [...this.#topics.values()].map(({ facts }) => facts);
  }

  watch(listener: (name: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async findOrCreate(name: string): Promise<TopicFacts> {
    if (!this.#topics.has(name)) {
      if (!this.isAutoCreating) throw new SluiceError('TOPIC_NOT_FOUND', `no ${name}`);
      this.make(name);
    }
    return Promise.resolve(this.find(name)!);
  }

  async ensureLike(name: string, like: string): Promise<TopicFacts> {
    if (!this.#topics.has(name)) this.make(name, this.find(like)!.partitions);
    return Promise.resolve(this.find(name)!);
  }

  async offsetAt(name: string, partition: number, start: Start): Promise<number> {
    const log = this.log(name, partition);
    await Promise.resolve();
    return start.at === 'latest' ? log.end : start.at === 'offset' ? start.offset : log.start;
  }

  async starts(name: string, partitions: readonly number[]): Promise<number[]> {
    return Promise.resolve(partitions.map((partition) => this.log(name, partition).start));
  }

  async ends(name: string, partitions: readonly number[]): Promise<number[]> {
    return Promise.resolve(partitions.map((partition) => this.log(name, partition).end));
  }

  async openReader(name: string, partition: number, start: Start): Promise<OpenReader> {
    const log = this.log(name, partition);
    const offset = start.at === 'offset' ? start.offset : 0;
    if (offset > log.end) throw new SluiceError('OFFSET_OUT_OF_RANGE', `${offset} of ${log.end}`);
    const reader = new FakeReader(this, name, partition, log, offset);
    return Promise.resolve({
      reader,
      close: () => {
        reader.close();
      },
    });
  }

  async initProducer(): Promise<number> {
    return Promise.resolve(this.#ids++);
  }

  async publish(name: string, partition: number, batch: Buffer): Promise<PublishedAt> {
    await this.onPublish(name, batch);
    const log = this.log(name, partition);
    const published = this.#publish(log, batch);
    await this.onPublished();
    return published;
  }

  #publish(log: FakePartition, batch: Buffer): PublishedAt {
    const { header } = new RecordBatch(batch);
    const sequence = batchBaseSequence(batch);
    const producer = log.producers.get(batchProducerId(batch)) ?? {
      next: 0,
      stored: new Map<string, number>(),
    };
    const key = `${sequence}+${header.recordCount}`;
    const stored = producer.stored.get(key);
    if (stored !== undefined) return { kind: 'duplicate', baseOffset: stored };
    if (sequence !== producer.next) throw new SluiceError('OUT_OF_ORDER_SEQUENCE', `${sequence}`);
    const baseOffset = log.append(batch);
    producer.stored.set(key, baseOffset);
    producer.next += header.recordCount;
    log.producers.set(batchProducerId(batch), producer);
    return { kind: 'appended', baseOffset };
  }

  #changed(name: string): void {
    for (const listener of this.#listeners) listener(name);
  }
}

/** The records of a batch, those in `[first, end)` only. */
export function plainRecords(batch: Buffer, first = batchBaseOffset(batch), end = Infinity): PlainRecord[] {
  return [...new RecordBatch(batch).records()]
    .filter(({ offset }) => offset >= first && offset < end)
    .map(plain);
}

function plain({ offset, key, value, headers }: WireRecord): PlainRecord {
  const pairs = headers.map((header) => [header.key, String(header.value)] as const);
  return {
    offset,
    key: key && String(key),
    value: value && String(value),
    headers: Object.fromEntries(pairs),
  };
}

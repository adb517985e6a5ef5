import { describe, expect, it } from 'vitest';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { PartitionLog } from '../../src/log/partition-log.ts';
import { readBatchHeader } from '../../src/wire/record-batch.ts';
import type { PartitionReader } from '../../src/partition/reader.ts';
import { batchOf } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { memoryLog, openPartition, readAll, readNow } from './fixture.ts';

const coded = (code: string): Error => expect.objectContaining({ code }) as Error;

function readerAt(
  partition: ReturnType<typeof openPartition>,
  at: 'latest' | 'earliest' = 'latest',
): PartitionReader {
  return partition.openReader({ at }) as PartitionReader;
}

describe('appending', () => {
  it('stamps offset and leader epoch and leaves the rest as it came', () => {
    const partition = openPartition();
    partition.append(batchOf(3));
    const sent = batchOf(2, { producerId: 5, producerEpoch: 0, baseSequence: 0 });
    partition.append(Buffer.from(sent));
    const result = readNow(readerAt(partition, 'earliest'));
    const [, stored] = result.kind === 'batches' ? result.batches : [];
    expect(readBatchHeader(stored!)).toEqual({ ...readBatchHeader(sent), baseOffset: 3, leaderEpoch: 7 });
    expect(stored!.subarray(16)).toEqual(sent.subarray(16));
  });

  it('keeps the producer’s time, or stamps its own with a CRC that still holds', () => {
    const clock = new FakeClock(5_000_000);
    const keeps = openPartition({ clock });
    expect(keeps.append(batchOf([{ timestampMs: 1 }])).appendTimeMs).toBe(0);
    const stamps = openPartition({ clock, settings: { batchMaxBytes: 1e6, timestamps: 'append' } });
    expect(stamps.append(batchOf([{ timestampMs: 1 }])).appendTimeMs).toBe(5_000_000);
    expect(readAll(readerAt(stamps, 'earliest'))).toEqual(['0 null=v']);
  });

  it.each([
    ['a flipped bit', 'CORRUPT_BATCH', (batch: Buffer) => batch.fill(0xff, 68, 69)],
    ['a cut', 'CORRUPT_BATCH', (batch: Buffer) => batch.subarray(0, 65)],
    ['nothing', 'CORRUPT_BATCH', () => Buffer.alloc(0)],
    ['too much', 'BATCH_TOO_LARGE', () => batchOf([{ value: 'x'.repeat(2000) }])],
  ])('refuses a batch with %s and changes nothing', (_what, code, change) => {
    const partition = openPartition({ settings: { batchMaxBytes: 1000, timestamps: 'create' } });
    partition.append(batchOf(1));
    expect(() => partition.append(change(batchOf(1)))).toThrow(coded(code));
    expect([partition.logEnd, partition.highWatermark, partition.counters.batchesIn]).toEqual([1, 1, 1]);
  });

  it('answers a repeated batch with the first answer and stores nothing', () => {
    const partition = openPartition();
    const sent = batchOf(3, { producerId: 5, producerEpoch: 0, baseSequence: 0 });
    partition.append(Buffer.from(sent));
    partition.append(batchOf(4));
    expect(partition.append(sent)).toMatchObject({ kind: 'duplicate', baseOffset: 0, nextOffset: 3 });
    expect([partition.logEnd, partition.counters.duplicates]).toEqual([7, 1]);
  });

  it('does not remember a batch that the log refused', () => {
    const clock = new FakeClock();
    const log = memoryLog(clock);
    const append = log.append.bind(log);
    log.append = () => {
      throw new SluiceError('STORAGE_FULL', 'full');
    };
    const partition = openPartition({ clock, log });
    const sent = () => batchOf(3, { producerId: 5, producerEpoch: 0, baseSequence: 0 });
    expect(() => partition.append(sent())).toThrow(coded('STORAGE_FULL'));
    log.append = append;
    expect(partition.append(sent())).toMatchObject({ kind: 'appended', baseOffset: 0 });
  });

  it('counts records, batches and bytes', () => {
    const partition = openPartition();
    const batch = batchOf(3);
    partition.append(batch);
    expect(partition.counters).toMatchObject({ recordsIn: 3, batchesIn: 1, bytesIn: batch.length });
  });
});

describe('waking readers', () => {
  it('calls each reader that said idle once for any number of appends', () => {
    const partition = openPartition();
    let calls = 0;
    for (let index = 0; index < 100; index++) {
      const reader = readerAt(partition);
      reader.onReadable = () => calls++;
      readNow(reader);
    }
    partition.append(batchOf(1));
    partition.append(batchOf(1));
    expect(calls).toBe(100);
  });

  it('does not call a reader that was closed, also by another one that is woken', () => {
    const partition = openPartition();
    const [first, second] = [readerAt(partition), readerAt(partition)];
    let calls = 0;
    first.onReadable = () => second.close();
    second.onReadable = () => calls++;
    readNow(first);
    readNow(second);
    partition.append(batchOf(1));
    expect(calls).toBe(0);
  });

  it('wakes a reader again that read to the end inside the wake-up', () => {
    const partition = openPartition();
    const reader = readerAt(partition);
    const seen: string[] = [];
    reader.onReadable = () => seen.push(...readAll(reader));
    readNow(reader);
    partition.append(batchOf(1));
    partition.append(batchOf(1));
    expect(seen).toEqual(['0 null=v', '1 null=v']);
  });

  it('wakes readers that read and append again from inside the wake-up', () => {
    const partition = openPartition();
    const reader = readerAt(partition);
    const seen: string[] = [];
    reader.onReadable = () => {
      seen.push(...readAll(reader));
      if (seen.length < 3) partition.append(batchOf(1));
    };
    readNow(reader);
    partition.append(batchOf(1));
    expect(seen).toEqual(['0 null=v', '1 null=v', '2 null=v']);
  });

  it('holds on to no reader that was closed', () => {
    const partition = openPartition();
    for (let index = 0; index < 10; index++) {
      const reader = readerAt(partition);
      readNow(reader);
      reader.close();
      reader.close();
    }
    expect(partition.readers).toBe(0);
  });
});

describe('a log that becomes durable later', () => {
  function lateLog(clock: FakeClock): { log: PartitionLog; sync: (error?: SluiceError) => void } {
    const inner = memoryLog(clock);
    let durableEnd = 0;
    let waiting: ((error: SluiceError | undefined) => void)[] = [];
    const log: PartitionLog = Object.create(inner, {
      logStart: { get: () => inner.logStart },
      logEnd: { get: () => inner.logEnd },
      durableEnd: { get: () => durableEnd },
      append: { value: (batch: Buffer) => inner.append(batch) },
      read: {
        value: (...args: Parameters<PartitionLog['read']>) => Promise.resolve(inner.read(...args)),
        writable: true,
      },
      whenDurable: {
        value: (_offset: number, callback: (error: SluiceError | undefined) => void) =>
          waiting.push(callback),
      },
    }) as PartitionLog;
    const sync = (error?: SluiceError): void => {
      if (!error) durableEnd = inner.logEnd;
      const callbacks = waiting;
      waiting = [];
      callbacks.forEach((callback) => callback(error));
    };
    return { log, sync };
  }

  it('shows readers nothing before it is durable', async () => {
    const clock = new FakeClock();
    const { log, sync } = lateLog(clock);
    const partition = openPartition({ clock, log });
    const reader = readerAt(partition);
    let woken = false;
    reader.onReadable = () => (woken = true);
    partition.append(batchOf(1));
    expect([await reader.read(1000), woken]).toEqual([{ kind: 'idle' }, false]);
    sync();
    expect([(await reader.read(1000)).kind, woken]).toEqual(['batches', true]);
  });

  it('ends a reader that is closed while a read waits for the disk', async () => {
    const clock = new FakeClock();
    const { log, sync } = lateLog(clock);
    const partition = openPartition({ clock, log });
    partition.append(batchOf(1));
    sync();
    const reader = readerAt(partition, 'earliest');
    const pending = reader.read(1000);
    reader.close();
    expect(await pending).toEqual({ kind: 'ended', code: undefined });
  });

  it('ends only the reader whose read fails', async () => {
    const clock = new FakeClock();
    const { log, sync } = lateLog(clock);
    const partition = openPartition({ clock, log });
    partition.append(batchOf(1));
    sync();
    const read = log.read.bind(log);
    const [broken, fine] = [readerAt(partition, 'earliest'), readerAt(partition, 'earliest')];
    log.read = () => Promise.reject(new SluiceError('STORAGE_FAILED', 'bad sector'));
    expect(await broken.read(1000)).toEqual({ kind: 'ended', code: 'STORAGE_FAILED' });
    log.read = read;
    expect((await fine.read(1000)).kind).toBe('batches');
  });
});

describe('closing', () => {
  it('ends all readers without an error and refuses what comes after', () => {
    const partition = openPartition();
    const reader = readerAt(partition);
    let woken = false;
    reader.onReadable = () => (woken = true);
    readNow(reader);
    void partition.close();
    expect([woken, readNow(reader)]).toEqual([true, { kind: 'ended', code: undefined }]);
    expect(() => partition.append(batchOf(1))).toThrow(coded('TOPIC_NOT_FOUND'));
  });
});

describe('whether anybody reads a copy', () => {
  it('is told once when somebody begins to, and is so for a while after the last has gone', () => {
    const clock = new FakeClock();
    const partition = openPartition({ clock });
    let told = 0;
    partition.onRead = () => told++;
    expect(partition.isRead).toBe(false);
    const [one, two] = [readerAt(partition), readerAt(partition)];
    expect([partition.isRead, told]).toEqual([true, 1]);
    clock.advance(20_000);
    one.close();
    expect(partition.isRead).toBe(true);
    two.close();
    expect(partition.isRead).toBe(false);
    partition.noteRead();
    clock.advance(14_999);
    expect([partition.isRead, told]).toEqual([true, 2]);
    clock.advance(1);
    expect(partition.isRead).toBe(false);
  });
});

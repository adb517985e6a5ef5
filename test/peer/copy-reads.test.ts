import { beforeEach, describe, expect, it, vi } from 'vitest';
import { DEFAULT_DISK_LIMITS, createDiskShared } from '../../src/log/disk/disk-shared.ts';
import type { Partition } from '../../src/partition/partition.ts';
import { ProducerWindow } from '../../src/partition/producer-window.ts';
import { CopyReads } from '../../src/peer/copy-reads.ts';
import type { ReadAnswer, ReadRequest } from '../../src/peer/ports.ts';
import { KEEP_ALL, openDiskLog } from '../log/disk/open-disk-log.ts';
import { idlePartition, leadershipOf, openPartition } from '../partition/fixture.ts';
import { batchOf, stampedBatch, textOf } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { FakeDisk } from '../support/fake-disk.ts';
import { turns } from '../support/turns.ts';

const MiB = 1024 * 1024;

let clock: FakeClock;
let partition: Partition | undefined;
let copies: CopyReads;
let gone: AbortController;

beforeEach(() => {
  clock = new FakeClock();
  partition = openPartition({ clock });
  gone = new AbortController();
  copies = new CopyReads({ clock, find: (topicId) => (topicId === 't1' ? partition : undefined) });
});

/** A read that has been begun. */
class Asked {
  #said: string | undefined;

  constructor(answer: Promise<ReadAnswer>) {
    answer.then(
      (given) => (this.#said = inWords(given)),
      (error: unknown) => (this.#said = (error as { code: string }).code),
    );
  }

  async now(): Promise<string> {
    await turns(60);
    return this.#said ?? 'waits';
  }
}

const read = (request: Partial<ReadRequest> = {}): Asked =>
  new Asked(
    copies.read(
      'b',
      { topicId: 't1', partition: 0, offset: 0, maxBytes: MiB, maxWaitMs: 500, ...request },
      gone.signal,
    ),
  );

function inWords({ logStart, highWatermark, logEnd, batches, diverging }: ReadAnswer): string {
  const offsets = textOf(batches).map((text) => text.split(' ')[0]);
  const parting = diverging ? `, parts in epoch ${diverging.epoch} at ${diverging.endOffset}` : '';
  return `[${offsets.join(' ')}] of ${logStart} ${highWatermark} ${logEnd}${parting}`;
}

function store(count: number): void {
  for (let n = 0; n < count; n++) partition!.append(batchOf(1));
}

/** A copy that has fetched so much, and has heard of so high a watermark. */
function following(records: number, highWatermark: number): Partition {
  const copy = idlePartition({ clock });
  copy.follow(7);
  const batches = Array.from({ length: records }, (_, n) => stampedBatch(n, 1));
  copy.appendReplicated(batches, { highWatermark, logStart: 0 });
  return copy;
}

async function onDisk(): Promise<Partition> {
  const producers = new ProducerWindow(clock, 100, { producers: 0, maxProducers: 100 });
  const disk = new FakeDisk();
  const shared = createDiskShared(disk, { ...DEFAULT_DISK_LIMITS, tailBytes: 0 });
  const log = await openDiskLog({
    ...{ disk, shared, directory: '/topics/orders/0', clock, state: producers },
    ...{ firstOffset: 0, settings: KEEP_ALL },
  });
  return openPartition({ clock, log, producers });
}

describe('a read from a copy', () => {
  it('is answered with what there is from the offset on', async () => {
    store(4);
    expect(await read({ offset: 2 }).now()).toBe('[2 3] of 0 4 4');
  });

  it('makes the copy one that is read', () => {
    expect(partition!.isRead).toBe(false);
    read();
    expect(partition!.isRead).toBe(true);
  });

  it('says in which epoch the copy is', async () => {
    store(1);
    const request = { topicId: 't1', partition: 0, offset: 0, maxBytes: 1, maxWaitMs: 0 };
    expect(await copies.read('b', request, gone.signal)).toMatchObject({ leaderEpoch: 7 });
  });

  it('brings as many batches as fit, and at least one', async () => {
    store(4);
    const { length } = batchOf(1);
    expect(await read({ maxBytes: 2 * length }).now()).toBe('[0 1] of 0 4 4');
    expect(await read({ maxBytes: 0 }).now()).toBe('[0] of 0 4 4');
  });

  it('brings no more than 1 MiB, whatever is asked for', async () => {
    for (let n = 0; n < 3; n++) partition!.append(batchOf([{ value: 'x'.repeat(MiB / 2 - 1000) }]));
    expect(await read({ maxBytes: 2 ** 32 - 1 }).now()).toBe('[0 1] of 0 3 3');
  });

  it('of a copy that follows goes up to the high watermark', async () => {
    partition = following(4, 3);
    expect(await read().now()).toBe('[0 1 2] of 0 3 4');
  });

  it('of a copy without a leader goes up to the high watermark that it knew', async () => {
    partition = following(4, 3);
    partition.idle(8);
    expect(await read().now()).toBe('[0 1 2] of 0 3 4');
  });

  it('below what is retained says where the log begins', async () => {
    store(3);
    partition!.deleteBefore(2);
    expect(await read({ offset: 1 }).now()).toBe('[] of 2 3 3');
  });

  it('above the end of the copy is refused', async () => {
    store(1);
    expect(await read({ offset: 2 }).now()).toBe('OFFSET_OUT_OF_RANGE');
  });

  it.each(['none', 'closed'] as const)('of a copy that is %s is refused', async (which) => {
    if (which === 'none') partition = undefined;
    else void partition!.close();
    expect(await read().now()).toBe('PARTITION_NOT_FOUND');
  });
});

describe('a read of a range', () => {
  it('brings nothing that begins above it', async () => {
    store(4);
    expect(await read({ offset: 1, upTo: 3 }).now()).toBe('[1 2] of 0 4 4');
  });

  it('is answered at once where nothing is in it', async () => {
    partition = following(1, 1);
    partition.appendReplicated([stampedBatch(5, 1)], { highWatermark: 6, logStart: 0 });
    expect(await read({ offset: 1, upTo: 5 }).now()).toBe('[] of 0 6 6');
  });
});

describe('a read of somebody who says what it has', () => {
  beforeEach(() => {
    partition = idlePartition({ clock });
    partition.follow(7);
    const batches = [stampedBatch(0, 1, 4), stampedBatch(1, 1, 4), stampedBatch(2, 1, 7)];
    partition.appendReplicated(batches, { highWatermark: 3, logStart: 0 });
  });

  it('goes on where this copy has the same', async () => {
    expect(await read({ offset: 2, lastEpoch: 4 }).now()).toBe('[2] of 0 3 3');
  });

  it('says where they part', async () => {
    expect(await read({ offset: 3, lastEpoch: 5 }).now()).toBe('[] of 0 3 3, parts in epoch 4 at 2');
    expect(await read({ offset: 9, lastEpoch: 7 }).now()).toBe('[] of 0 3 3, parts in epoch 7 at 3');
  });
});

describe('a read with nothing there', () => {
  it('waits, and is answered when there is something', async () => {
    const asked = read();
    clock.advance(499);
    expect(await asked.now()).toBe('waits');
    store(1);
    expect(await asked.now()).toBe('[0] of 0 1 1');
    expect(clock.pendingTimers).toBe(0);
  });

  it('waits for the high watermark, not for what is stored', async () => {
    const isr = ['a', 'b'];
    partition = idlePartition({ clock });
    partition.lead(leadershipOf(7, { isr }));
    const asked = read();
    store(1);
    expect(await asked.now()).toBe('waits');
    partition.reportFollower('b', 1, 0);
    expect(await asked.now()).toBe('[0] of 0 1 1');
  });

  it('waits for a copy that follows', async () => {
    partition = following(2, 1);
    const asked = read({ offset: 1 });
    expect(await asked.now()).toBe('waits');
    partition.appendReplicated([], { highWatermark: 2, logStart: 0 });
    expect(await asked.now()).toBe('[1] of 0 2 2');
  });

  it('is answered with nothing after the time that it may wait', async () => {
    store(1);
    const asked = read({ offset: 1 });
    await turns();
    clock.advance(500);
    expect(await asked.now()).toBe('[] of 0 1 1');
  });

  it('waits 10 s at most, whatever is asked for', async () => {
    const asked = read({ maxWaitMs: 2 ** 32 - 1 });
    await turns();
    clock.advance(10_000);
    expect(await asked.now()).toBe('[] of 0 0 0');
  });

  it('is answered at once when it may not wait', async () => {
    expect(await read({ maxWaitMs: 0 }).now()).toBe('[] of 0 0 0');
  });

  it('is answered when the copy begins anew above it', async () => {
    store(2);
    const asked = read({ offset: 2 });
    await turns();
    partition!.follow(8);
    void partition!.resetTo(9);
    partition!.appendReplicated([], { highWatermark: 9, logStart: 9 });
    expect(await asked.now()).toBe('[] of 9 9 9');
  });

  it('is refused when the copy goes back behind it', async () => {
    partition = following(4, 2);
    const asked = read({ offset: 4 });
    await turns();
    await partition.truncateTo(3);
    partition.appendReplicated([], { highWatermark: 3, logStart: 0 });
    expect(await asked.now()).toBe('OFFSET_OUT_OF_RANGE');
  });

  it('is refused when the copy is closed', async () => {
    const asked = read();
    await turns();
    void partition!.close();
    expect(await asked.now()).toBe('PARTITION_NOT_FOUND');
  });

  it('goes on through a hole, and says when nothing came after it', async () => {
    partition = following(1, 1);
    partition.appendReplicated([stampedBatch(5, 1)], { highWatermark: 6, logStart: 0 });
    partition.log.read = () => [];
    const asked = read({ offset: 1 });
    expect(await asked.now()).toBe('waits');
    clock.advance(500);
    expect(await asked.now()).toBe('[] of 0 6 6');
  });

  it('ends, and leaves nothing behind, when who asked is gone', async () => {
    const watch = vi.spyOn(partition!, 'watch');
    const unwatch = vi.spyOn(partition!, 'unwatch');
    const asked = read();
    await turns();
    expect(clock.pendingTimers).toBe(1);
    gone.abort();
    expect(await asked.now()).toBe('CANCELLED');
    expect(clock.pendingTimers).toBe(0);
    expect(unwatch.mock.calls).toEqual(watch.mock.calls);
  });
});

describe('a read from a disk', () => {
  beforeEach(async () => {
    partition = await onDisk();
    store(3);
    await turns(50);
  });

  it('is answered once it has been read', async () => {
    expect(await read({ offset: 1 }).now()).toBe('[1 2] of 0 3 3');
  });

  it('waits for what is not there yet', async () => {
    const asked = read({ offset: 3 });
    expect(await asked.now()).toBe('waits');
    store(1);
    expect(await asked.now()).toBe('[3] of 0 4 4');
  });

  it('says where the log begins when the records were deleted meanwhile', async () => {
    const asked = read();
    partition!.deleteBefore(2);
    expect(await asked.now()).toBe('[] of 2 3 3');
  });

  it('brings nothing that the copy has taken back meanwhile', async () => {
    const late = Promise.withResolvers<undefined>();
    const readLog = partition!.log.read.bind(partition!.log);
    partition!.log.read = (...asked) => {
      partition!.log.read = readLog;
      const found = readLog(...asked);
      return late.promise.then(() => found);
    };
    const asked = read();
    await turns();
    partition!.follow(8);
    await partition!.truncateTo(1);
    late.resolve(undefined);
    expect(await asked.now()).toBe('[0] of 0 1 1');
  });

  it('says why the log cannot be read', async () => {
    partition!.log.read = () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }));
    expect(await read().now()).toBe('INTERNAL');
  });
});

describe('a read from a copy for readers', () => {
  let copy: Partition;
  let isRelay: boolean;
  let tailStart: number;

  beforeEach(() => {
    copy = following(4, 4);
    isRelay = true;
    tailStart = 0;
    copies = new CopyReads({
      ...{ clock, find: () => partition, farZoneOf: (nodeId) => (nodeId === 'x' ? undefined : 'y') },
      relayed: () => (isRelay ? { partition: copy, tailStart } : undefined),
    });
  });

  const more = (): void => {
    const next = stampedBatch(copy.logEnd, 1);
    copy.appendReplicated([next], { highWatermark: copy.logEnd + 1, logStart: 0 });
  };

  it('says what that has, not the replica, and is counted', async () => {
    store(9);
    expect(await read({ offset: 2, observed: true }).now()).toBe('[2 3] of 0 4 4');
    expect(copies.relays).toEqual({ reads: 1, bytes: 2 * stampedBatch(2, 1).length });
    expect(await read({ offset: 2 }).now()).toContain('[2 3 4');
    expect(copies.relays.reads).toBe(1);
  });

  it('is refused at once when the asker is ahead', async () => {
    expect(await read({ offset: 5, observed: true }).now()).toBe('OFFSET_OUT_OF_RANGE');
  });

  it('is refused below what is in memory, and where histories cannot be compared for that', async () => {
    tailStart = 2;
    expect(await read({ offset: 1, observed: true }).now()).toBe('OFFSET_OUT_OF_RANGE');
    expect(await read({ offset: 2, lastEpoch: 1, observed: true }).now()).toBe('OFFSET_OUT_OF_RANGE');
    expect(await read({ offset: 2, observed: true }).now()).toBe('[2 3] of 0 4 4');
    expect(await read({ offset: 3, lastEpoch: 1, observed: true }).now()).toBe('[3] of 0 4 4');
  });

  it('ends when a replica does not feed that copy any more', async () => {
    const asked = read({ offset: 4, observed: true });
    expect(await asked.now()).toBe('waits');
    isRelay = false;
    more();
    expect(await asked.now()).toBe('PARTITION_NOT_FOUND');
    expect(await read({ observed: true }).now()).toBe('PARTITION_NOT_FOUND');
  });

  it('is what others of a zone are told to do, by the replica that the first of them reads', async () => {
    store(1);
    const nearer = async (nodeId: string, feeds = true): Promise<string | undefined> => {
      const request = { topicId: 't1', partition: 0, offset: 0, maxBytes: 1, maxWaitMs: 0, feeds };
      return (await copies.read(nodeId, request, gone.signal)).nearer;
    };
    expect([await nearer('b', false), await nearer('b'), await nearer('c'), await nearer('b')]).toEqual([
      ...[undefined, undefined, 'b', undefined],
    ]);
    expect([await nearer('c', false), await nearer('x')]).toEqual([undefined, undefined]);
  });
});

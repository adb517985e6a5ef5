import { describe, expect, it } from 'vitest';
import { SluiceError } from '../../../src/kernel/errors.ts';
import { COMPACTION_FILE } from '../../../src/log/disk/compaction-state.ts';
import type { DiskLog, DiskLogObserver, DiskLogSettings } from '../../../src/log/disk/disk-log.ts';
import { createDiskShared } from '../../../src/log/disk/disk-shared.ts';
import { DiskLog as Log } from '../../../src/log/disk/disk-log.ts';
import { stampBatch } from '../../../src/wire/record-batch.ts';
import { RecordBatch } from '../../../src/wire/record-batch-decoder.ts';
import { batchOf } from '../../support/batch.ts';
import type { TestBatchOptions } from '../../support/batch.ts';
import { checkAtLeast, checkSame } from '../../support/cheap-checks.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeDisk } from '../../support/fake-disk.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { turns } from '../../support/turns.ts';
import { readAll } from '../array-log.ts';
import { record } from './compaction-stage.ts';
import { KEEP_ALL, LOG_DIRECTORY, openDiskLog } from './open-disk-log.ts';
import { ProducerRecall } from '../producer-recall.ts';

/** A log of its own that is compacted, with a segment for every batch or two. */
class Stage {
  disk: FakeDisk;
  clock = new FakeClock();
  state = new ProducerRecall();
  readonly events: string[] = [];
  settings: DiskLogSettings = { ...KEEP_ALL, cleanup: 'compact', segmentBytes: 100 };
  log!: DiskLog;

  constructor(seed = 1) {
    this.disk = new FakeDisk({ seed });
  }

  static async open(settings: Partial<DiskLogSettings> = {}, seed = 1): Promise<Stage> {
    const stage = new Stage(seed);
    stage.settings = { ...stage.settings, ...settings };
    await stage.open();
    return stage;
  }

  async open(): Promise<void> {
    const { disk, clock, settings, events } = this;
    this.state = new ProducerRecall();
    const observer: DiskLogObserver = {
      onRecovered: () => undefined,
      onCorrupt: (file, position, reason) => events.push(`corrupt ${file} at ${position}: ${reason}`),
      onFault: ({ message }) => events.push(`fault ${message}`),
      onHealed: () => events.push('healed'),
      onCompactionFailed: ({ code }) => events.push(`compaction ${code}`),
    };
    this.log = await openDiskLog({ disk, clock, settings, state: this.state, firstOffset: 0, observer });
  }

  /** Appends batches of one record `key=value`, a segment each or nearly, and waits for the disk. */
  async append(texts: string, options: TestBatchOptions = {}): Promise<void> {
    for (const text of texts.split(' ')) this.push(text, options);
    await this.settle();
  }

  push(text: string, options: TestBatchOptions = {}): void {
    const batch = batchOf([record(text)], options);
    stampBatch(batch, this.log.logEnd, 1);
    this.state.replay(new RecordBatch(batch).header);
    this.log.append(batch);
  }

  /** Stops and starts the log, so that nothing is read from memory. */
  async restart(): Promise<void> {
    await this.log.close();
    await this.open();
  }

  /** Stops and starts the log, lets two seconds pass, and what is due be compacted. */
  async compact(): Promise<void> {
    await this.restart();
    await this.sweep();
  }

  async sweep(): Promise<void> {
    this.clock.advance(2000);
    this.log.enforceRetention();
    await this.settle();
    this.log.enforceRetention();
    await this.settle();
  }

  /** Lets the log do all that it has begun. */
  async settle(): Promise<void> {
    await settle(this.disk);
  }

  /** Ends the process, and opens the log again. */
  async reopen(way: 'kill' | 'crash' = 'kill'): Promise<void> {
    this.disk = way === 'kill' ? this.disk.kill() : this.disk.crash();
    await this.open();
  }

  async texts(): Promise<string[]> {
    return textsOf(await readAll(this.log));
  }

  names(ending: string): string[] {
    return this.disk.names(LOG_DIRECTORY).filter((name) => name.endsWith(ending));
  }
}

async function settle(disk: FakeDisk): Promise<void> {
  for (let calls = -1; calls !== disk.calls.length;) {
    calls = disk.calls.length;
    await turns(10);
  }
}

/** A log of a=1 b=1 c=1 d=1 whose first three segments are merged, but that is not over before `release`. */
async function whileReplacing(): Promise<{ stage: Stage; release: () => void }> {
  const stage = await Stage.open();
  await stage.append('a=1 b=1 c=1 d=1');
  stage.settings = { ...stage.settings, segmentBytes: 1000 };
  await stage.restart();
  stage.disk.fail({ code: 'EIO', kinds: ['rename'], path: /\.log\.new$/, times: 1 });
  await stage.sweep();
  expect(stage.events.splice(0)).toEqual(['compaction STORAGE_FAILED']);
  stage.clock.advance(60_000);
  const release = stage.disk.hold(['rename']);
  await stage.sweep();
  expect(stage.disk.calls.at(-1)!.path).toMatch(/\.log\.new$/);
  return { stage, release };
}

function textsOf(batches: readonly Buffer[]): string[] {
  return batches.flatMap((batch) =>
    Array.from(
      new RecordBatch(batch).records(),
      ({ offset, key, value }) => `${offset} ${String(key ?? '')}=${String(value ?? '')}`,
    ),
  );
}

describe('compaction of a log', () => {
  it('leaves the latest record of each key in sealed segments, and all in the active one', async () => {
    const stage = await Stage.open();
    await stage.append('a=1 b=1 a=2 a=3 b=2 a=4 a=5');
    await stage.compact();
    expect(await stage.texts()).toEqual(['4 b=2', '5 a=4', '6 a=5']);
  });

  it('is not done where nothing but age and size decide', async () => {
    const stage = await Stage.open({ cleanup: 'delete' });
    await stage.append('a=1 a=2 a=3');
    await stage.compact();
    expect(await stage.texts()).toHaveLength(3);
  });

  it('is done when half of what could be is not yet, and not before', async () => {
    const stage = await Stage.open();
    await stage.append('a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1');
    await stage.compact();
    const compacted = stage.disk.peek(`${LOG_DIRECTORY}/${COMPACTION_FILE}`);
    await stage.append('a=2 b=2');
    await stage.compact();
    expect(stage.disk.peek(`${LOG_DIRECTORY}/${COMPACTION_FILE}`)).toEqual(compacted);
    await stage.append('c=2 d=2 e=2 f=2 g=2 h=2 i=2');
    await stage.compact();
    expect(stage.disk.peek(`${LOG_DIRECTORY}/${COMPACTION_FILE}`)).not.toEqual(compacted);
  });

  it('does not touch segments that no snapshot has left behind', async () => {
    const stage = await Stage.open();
    stage.disk.fail({ code: 'EIO', path: /snapshot/ });
    await stage.append('a=1 a=2 a=3 a=4');
    await stage.compact();
    expect(await stage.texts()).toHaveLength(4);
  });

  it('lets no record go for a later one that may yet be cut off', async () => {
    const stage = await Stage.open();
    await stage.append('a=1 b=1 a=2 a=3 a=4');
    await stage.restart();
    stage.log.retainedFrom = () => 2;
    await stage.sweep();
    await stage.log.truncate(2);
    expect(await stage.texts()).toEqual(['0 a=1', '1 b=1']);
  });

  it('leaves records without value while a replica may have what they delete, and has not heard of them', async () => {
    const stage = await Stage.open();
    await stage.append('a=1 a= b=1 c=1 d=1 e=1');
    await stage.compact();
    let isEverywhere = false;
    stage.log.isEverywhere = () => isEverywhere;
    await stage.sweep();
    await stage.append('f=1 g=1 h=1 i=1 j=1 k=1');
    await stage.sweep();
    expect((await stage.texts())[0]).toBe('1 a=');
    const rounds = stage.disk.calls.length;
    await stage.sweep();
    expect(stage.disk.calls.length).toBe(rounds);
    isEverywhere = true;
    await stage.sweep();
    expect((await stage.texts())[0]).toBe('2 b=1');
  });

  it('waits after a start until it is known again that all that it has compacted is there to stay', async () => {
    const stage = await Stage.open();
    await stage.append('a=1 a= b=1 c=1 d=1 e=1');
    await stage.compact();
    await stage.restart();
    let confirmed = 3;
    stage.log.retainedFrom = () => confirmed;
    await stage.sweep();
    await stage.sweep();
    expect(await stage.texts()).toEqual(['1 a=', '2 b=1', '3 c=1', '4 d=1', '5 e=1']);
    confirmed = 5;
    await stage.sweep();
    expect(await stage.texts()).toEqual(['2 b=1', '3 c=1', '4 d=1', '5 e=1']);
  });

  it('removes the snapshots of segments that it rewrites', async () => {
    const stage = await Stage.open();
    await stage.append('a=1');
    await stage.compact();
    await stage.append('a=2');
    await stage.compact();
    await stage.append('a=3 a=4');
    await stage.compact();
    const end = Math.max(...stage.names('.log').map((name) => parseInt(name, 10)));
    const offsets = stage.names('.snapshot').map((name) => parseInt(name, 10));
    expect(offsets.filter((offset) => offset <= end)).toEqual([]);
    expect(offsets).not.toEqual([]);
  });

  it('is merged into larger segments', async () => {
    const stage = await Stage.open();
    await stage.append('a=1 b=1 c=1 d=1 e=1 f=1');
    const before = stage.log.segmentCount;
    stage.settings = { ...stage.settings, segmentBytes: 1000 };
    await stage.compact();
    expect(before).toBe(6);
    expect(stage.log.segmentCount).toBe(2);
    expect(await stage.texts()).toHaveLength(6);
  });

  it('says when it failed, changes nothing then, and is tried again a minute later', async () => {
    const stage = await Stage.open();
    await stage.append('a=1 a=2 a=3');
    await stage.restart();
    stage.disk.fail({ code: 'ENOSPC', path: /\.log\.new$/, times: 1 });
    await stage.sweep();
    expect(stage.events).toEqual(['compaction STORAGE_FULL']);
    expect(await stage.texts()).toHaveLength(3);
    expect(stage.names('.new')).toEqual([]);
    await stage.sweep();
    expect(await stage.texts()).toHaveLength(3);
    stage.clock.advance(60_000);
    await stage.sweep();
    expect(await stage.texts()).toEqual(['1 a=2', '2 a=3']);
  });

  it('ends with the log, and leaves no file open', async () => {
    const stage = await Stage.open();
    await stage.append('a=1 a=2 a=3 a=4 a=5');
    stage.clock.advance(2000);
    stage.log.enforceRetention();
    await stage.settle();
    stage.log.enforceRetention();
    await turns(3);
    await stage.log.close();
    expect(stage.disk.openFiles).toBe(0);
  });

  it('is done for one log at a time', async () => {
    const disk = new FakeDisk();
    const clock = new FakeClock();
    const shared = createDiskShared(disk);
    const open = (directory: string) =>
      Log.open({
        directory,
        clock,
        firstOffset: 0,
        settings: { ...KEEP_ALL, cleanup: 'compact', segmentBytes: 100 },
        state: new ProducerRecall(),
        shared,
        observer: { onRecovered() {}, onCorrupt() {}, onFault() {}, onHealed() {} },
      });
    const logs = [await open('/data/topics/a/0'), await open('/data/topics/a/1')];
    for (const log of logs) {
      for (let n = 0; n < 4; n++) {
        const batch = batchOf([record(`a=${n}`)]);
        stampBatch(batch, log.logEnd, 1);
        log.append(batch);
      }
    }
    await settle(disk);
    const release = disk.hold(['rename']);
    for (const log of logs) log.enforceRetention();
    await settle(disk);
    const begun = () =>
      new Set(disk.calls.filter(({ path }) => path.endsWith('compaction.new')).map(({ path }) => path));
    expect(begun().size).toBe(1);
    release();
    await settle(disk);
    for (const log of logs) log.enforceRetention();
    await settle(disk);
    expect(begun().size).toBe(2);
  });
});

describe('a compacted log that is opened again', () => {
  const by = (producerId: number, baseSequence: number) => ({ producerId, producerEpoch: 0, baseSequence });

  it('has the same records', async () => {
    for (const way of ['kill', 'crash'] as const) {
      const stage = await Stage.open();
      await stage.append('a=1 b=1 a=2 a=3');
      await stage.compact();
      await stage.reopen(way);
      expect(await stage.texts()).toEqual(['1 b=1', '2 a=2', '3 a=3']);
      expect(stage.events).toEqual([]);
    }
  });

  it('has the same records without any snapshot, or index, and knows its producers', async () => {
    const stage = await Stage.open();
    await stage.append('a=1', by(1, 0));
    await stage.append('a=2', by(2, 0));
    await stage.append('b=1', by(1, 1));
    await stage.append('a=3 b=2 c=1');
    await stage.compact();
    for (const name of [...stage.names('.snapshot'), ...stage.names('.index')]) {
      stage.disk.plant(`${LOG_DIRECTORY}/${name}`, undefined);
    }
    await stage.reopen();
    expect(await stage.texts()).toEqual(['3 a=3', '4 b=2', '5 c=1']);
    expect([...stage.state.producers].sort()).toEqual([
      [1, { sequence: 1, offset: 2 }],
      [2, { sequence: 0, offset: 1 }],
    ]);
    expect(stage.events).toEqual([]);
  });

  it('has the same records when its newest snapshot is damaged', async () => {
    const stage = await Stage.open({ segmentBytes: 1000 });
    for (const value of ['1', '2', '3', '4', '5', '6', '7', '8', '9']) {
      await stage.append(Array.from({ length: 8 }, (_, n) => `k${n}=${value}`).join(' '));
      await stage.compact();
    }
    const expected = await stage.texts();
    stage.disk.plant(`${LOG_DIRECTORY}/${stage.names('.snapshot').at(-1)!}`, Buffer.from('damaged'));
    await stage.reopen();
    expect(stage.events).toEqual([]);
    expect(await stage.texts()).toEqual(expected);
  });

  it('removes what a merge left behind, and does not count it twice', async () => {
    const stage = await Stage.open();
    await stage.append('a=1 b=1 c=1', by(1, 0));
    await stage.append('d=1 e=1');
    const left = stage.names('.log')[1]!;
    const bytes = stage.disk.peek(`${LOG_DIRECTORY}/${left}`);
    stage.settings = { ...stage.settings, segmentBytes: 1000 };
    await stage.compact();
    expect(stage.names('.log')).not.toContain(left);
    stage.disk.plant(`${LOG_DIRECTORY}/${left}`, bytes);
    for (const name of stage.names('.snapshot')) stage.disk.plant(`${LOG_DIRECTORY}/${name}`, undefined);
    await stage.reopen();
    expect(stage.names('.log')).not.toContain(left);
    expect(await stage.texts()).toHaveLength(5);
  });

  it('may be one that is not compacted any more', async () => {
    const stage = await Stage.open();
    await stage.append('a=1 b=1 a=2 a=3');
    await stage.compact();
    for (const name of stage.names('.snapshot')) stage.disk.plant(`${LOG_DIRECTORY}/${name}`, undefined);
    stage.settings = { ...stage.settings, cleanup: 'delete' };
    await stage.reopen();
    expect(await stage.texts()).toEqual(['1 b=1', '2 a=2', '3 a=3']);
    expect(stage.events).toEqual([]);
  });

  it('may be cut off in a segment with holes, and be opened without any snapshot', async () => {
    const stage = await Stage.open({ segmentBytes: 1000 });
    await stage.append('a=1 b=1 a=2 c=1 a=3 d=1 a=4 e=1 a=5 f=1 a=6 g=1 a=7 h=1 a=8 i=1');
    await stage.compact();
    await stage.log.truncate(6);
    expect(await stage.texts()).toEqual(['1 b=1', '3 c=1', '5 d=1']);
    await stage.reopen('crash');
    expect(await stage.texts()).toEqual(['1 b=1', '3 c=1', '5 d=1']);
    expect(stage.events).toEqual([]);
  });

  it('compacts what is appended after it was cut off', async () => {
    const stage = await Stage.open();
    await stage.append('a=1 b=1 c=1 d=1');
    await stage.compact();
    await stage.log.truncate(2);
    await stage.append('a=2 a=3 a=4 a=5');
    await stage.compact();
    expect((await stage.texts()).filter((text) => text.includes('a='))).toEqual(['4 a=4', '5 a=5']);
  });
});

describe('records without value in a log that is compacted', () => {
  const tombstoneMs = 100_000;

  it('stay for their time after they were first compacted, and go then, over restarts', async () => {
    const stage = await Stage.open({ tombstoneMs });
    await stage.append('a=1 a= b=1 c=1');
    await stage.compact();
    const kept = ['1 a=', '2 b=1', '3 c=1'];
    expect(await stage.texts()).toEqual(kept);
    stage.clock.advance(tombstoneMs - 10_000);
    await stage.compact();
    expect(await stage.texts()).toEqual(kept);
    await stage.log.close();
    await stage.reopen();
    expect(await stage.texts()).toEqual(kept);
    stage.clock.advance(10_000 + tombstoneMs / 4);
    await stage.compact();
    expect(await stage.texts()).toEqual(['2 b=1', '3 c=1']);
  });

  it('go only when what they delete has gone', async () => {
    const stage = await Stage.open({ tombstoneMs: 0 });
    await stage.append('a=1 b=1');
    await stage.compact();
    await stage.append('a= c=1 d=1');
    await stage.compact();
    const texts = await stage.texts();
    expect(texts.some((text) => text.endsWith('a=1'))).toBe(false);
  });
});

describe('a log that is compacted', () => {
  it('gives readers the right records at every moment, takes appends, and drops what is too old', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = new SeededRandom(seed);
      const retentionBytes = random.pick([0, 3000]);
      const settings = { cleanup: 'compact,delete' as const, retentionBytes, segmentBytes: 300 };
      const stage = await Stage.open(settings, seed);
      const known: string[] = [];
      const push = (): void => {
        const text = `k${random.below(6)}=${random.below(1000)}`;
        known.push(text);
        stage.push(text);
      };
      for (let n = 0; n < 40; n++) push();
      await stage.settle();
      await stage.restart();
      const readSome = async (): Promise<void> => {
        const { log } = stage;
        if (log.logStart === log.durableEnd) return;
        const offset = random.between(log.logStart, log.durableEnd - 1);
        const batches = await log.read(offset, log.durableEnd, random.pick([1, 300, 5000]));
        for (const text of textsOf(batches)) {
          const [at, pair] = text.split(' ') as [string, string];
          checkSame(known[Number(at)], pair, `seed ${seed}, offset ${at}`);
        }
        if (offset >= log.logStart)
          checkAtLeast(batches.length, 1, `batches, seed ${seed}, offset ${offset}`);
        await log.findTimestamp(0, log.logEnd);
      };
      for (let round = 0; round < 30; round++) {
        const reading = Array.from({ length: random.below(5) }, readSome);
        stage.clock.advance(random.pick([0, 1100]));
        if (random.chance(0.5)) stage.log.enforceRetention();
        for (let n = random.below(4); n > 0; n--) push();
        await turns(random.below(15));
        if (random.chance(0.3)) await Promise.all(reading);
        else reading.forEach((one) => void one.catch((error: unknown) => stage.events.push(String(error))));
      }
      await stage.settle();
      expect(stage.events, `seed ${seed}`).toEqual([]);
      await stage.log.close();
      expect(stage.disk.openFiles, `seed ${seed}`).toBe(0);
    }
  });

  it('may be cut off at any moment', async () => {
    for (let wait = 0; wait < 60; wait++) {
      const stage = await Stage.open({ segmentBytes: 300 }, wait);
      for (let n = 0; n < 40; n++) stage.push(`k${n % 5}=${n}`);
      await stage.settle();
      stage.clock.advance(2000);
      stage.log.enforceRetention();
      await stage.settle();
      stage.log.enforceRetention();
      await turns(wait);
      await stage.log.truncate(30);
      const texts = await stage.texts();
      expect(texts.every((text) => Number(text.split(' ')[0]) < 30)).toBe(true);
      stage.state.nextOffset = stage.log.logEnd;
      await stage.append('z=1');
      await stage.reopen('crash');
      expect(await stage.texts()).toEqual([...texts, `${stage.log.logEnd - 1} z=1`]);
      expect(stage.events).toEqual([]);
    }
  });

  it('drops no segment while another file takes its place', async () => {
    const { stage, release } = await whileReplacing();
    stage.log.deleteBefore(1);
    await stage.settle();
    release();
    await stage.settle();
    expect((await stage.texts()).slice(-3)).toEqual(['1 b=1', '2 c=1', '3 d=1']);
    await stage.restart();
    expect((await stage.texts()).slice(-3)).toEqual(['1 b=1', '2 c=1', '3 d=1']);
  });

  it('is cut off only when no file is taking the place of another', async () => {
    const { stage, release } = await whileReplacing();
    let isCut = false;
    const cutting = stage.log.truncate(1).then(() => (isCut = true));
    await stage.settle();
    expect(isCut).toBe(false);
    release();
    await cutting;
    await stage.reopen('crash');
    expect(await stage.texts()).toEqual(['0 a=1']);
  });

  it('does not compact what a reader finds damaged, and says where', async () => {
    const stage = await Stage.open();
    await stage.append('a=1 a=2 a=3');
    const path = `${LOG_DIRECTORY}/${stage.names('.log')[0]!}`;
    const bytes = stage.disk.peek(path)!;
    bytes[bytes.length - 1]! ^= 1;
    stage.disk.plant(path, bytes);
    await stage.compact();
    expect(stage.events[0]).toContain(`corrupt ${path} at 0`);
    expect(stage.events[1]).toBe('compaction CORRUPT_LOG');
    await expect(stage.texts()).rejects.toThrow(SluiceError);
  });
});

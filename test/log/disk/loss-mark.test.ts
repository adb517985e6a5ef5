/** That a log has lost something is known until it is said to be whole again, whatever ends meanwhile. */
import { describe, expect, it } from 'vitest';
import { FakeDisk } from '../../support/fake-disk.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { turns } from '../../support/turns.ts';
import { LogStage, pathOf, segmentOf } from './log-stage.ts';

/** Batches of one record, three to a segment. */
const BATCHES = 11;
const PER_SEGMENT = 3;

interface Damage {
  readonly name: string;
  /** First offset that is lost. */
  readonly from: number;
  readonly isGap: boolean;
  do(stage: LogStage): void;
}

const DAMAGES: readonly Damage[] = [
  {
    name: 'a damaged batch near the end',
    from: Infinity,
    isGap: false,
    do(stage) {
      stage.remove(...stage.names('snapshot'));
      stage.damage(stage.names('log').at(-1)!, 100);
    },
  },
  {
    name: 'a damaged segment in the middle',
    from: PER_SEGMENT,
    isGap: true,
    do(stage) {
      stage.remove(...stage.names('snapshot'), ...stage.names('index'));
      stage.damage(segmentOf(PER_SEGMENT), 10);
    },
  },
  {
    name: 'a segment that is gone',
    from: PER_SEGMENT,
    isGap: true,
    do: (stage) => stage.remove(segmentOf(PER_SEGMENT)),
  },
  {
    name: 'an end that is gone',
    from: 3 * PER_SEGMENT,
    isGap: true,
    do: (stage) => stage.disk.plant(pathOf(stage.names('log').at(-1)!), Buffer.alloc(0)),
  },
  {
    name: 'all segments gone',
    from: 0,
    isGap: true,
    do: (stage) => stage.remove(...stage.names('log'), ...stage.names('index')),
  },
];

/** A log that was closed in order, and damaged after that. */
async function damaged(damage: Damage, seed = 1): Promise<LogStage> {
  const stage = await LogStage.open({}, { disk: new FakeDisk({ seed }) });
  await stage.fill(BATCHES);
  expect(stage.names('log')[1]).toBe(segmentOf(PER_SEGMENT));
  await stage.log.close();
  stage.disk = stage.disk.kill();
  damage.do(stage);
  return stage;
}

/** Ends the process at a call of `work`, as often as it makes one, and once after it. @returns what each end left behind */
async function endEverywhere(
  make: (seed: number) => Promise<LogStage>,
  work: (stage: LogStage) => Promise<unknown>,
  check: (stage: LogStage, isOver: boolean, wasKilled: boolean) => void,
): Promise<void> {
  for (let call = 0, isOver = false; !isOver; call++) {
    for (let seed = 0; seed < 3; seed++) {
      const stage = await make(call + seed);
      const { disk } = stage;
      disk.stopAt(disk.calls.length + call);
      isOver = await Promise.race([work(stage).then(() => true), disk.stopped.then(() => false)]);
      stage.disk = seed === 0 ? disk.kill() : disk.crash(new SeededRandom(seed));
      await stage.start();
      check(stage, isOver, seed === 0);
    }
  }
}

describe.each(DAMAGES)('a log with $name', (damage) => {
  it('says so, at every start', async () => {
    const stage = await damaged(damage);
    for (let start = 0; start < 3; start++) {
      await stage.start();
      expect(stage.log.lostFrom).toBe(damage.from);
      stage.disk = stage.disk.kill();
    }
  });

  it('says so at the next start, wherever the one that mends it ends', async () => {
    await endEverywhere(
      (seed) => damaged(damage, seed),
      (stage) => stage.start(),
      (stage) => expect(stage.log.lostFrom).toBe(damage.from),
    );
  });

  it('can be cut off so that nothing is behind what it lacks, and says until then where that begins', async () => {
    const seen = new Set<number | undefined>();
    const make = async (seed: number): Promise<LogStage> => {
      const stage = await damaged(damage, seed);
      await stage.start();
      return stage;
    };
    const cut = ({ log }: LogStage): Promise<void> =>
      damage.from > log.logStart ? log.truncate(Math.min(damage.from, log.logEnd)) : log.reset(damage.from);
    await endEverywhere(make, cut, ({ log }, isOver) => {
      seen.add(log.lostFrom);
      expect([damage.from, Infinity]).toContain(log.lostFrom);
      if (isOver) expect([log.lostFrom, log.logEnd]).toEqual([Infinity, Math.min(damage.from, log.logEnd)]);
    });
    expect(seen.size).toBe(damage.isGap ? 2 : 1);
  });

  it('is whole when it was said to be, and not before', async () => {
    const seen = new Set<number | undefined>();
    const make = async (seed: number): Promise<LogStage> => {
      const stage = await damaged(damage, seed);
      await stage.start();
      const { log } = stage;
      if (damage.isGap) await (damage.from > 0 ? log.truncate(damage.from) : log.reset(0));
      await stage.fill(2);
      return stage;
    };
    await endEverywhere(
      make,
      ({ log }) => log.markWhole(),
      ({ log }, isOver) => {
        seen.add(log.lostFrom);
        if (isOver) expect(log.lostFrom).toBeUndefined();
      },
    );
    expect([...seen]).toEqual([Infinity, undefined]);
  });
});

describe('a log that lost, in a fault, what it had promised', () => {
  /** Five batches that are safe, five that only the system had, and a disk that has forgotten these. */
  async function faulted(seed: number): Promise<LogStage> {
    const settings = { flush: 'interval', segmentBytes: 64 * 1024 * 1024 } as const;
    const stage = await LogStage.open(settings, { disk: new FakeDisk({ seed }) });
    await stage.fill(5);
    stage.clock.advance(2000);
    await turns(20);
    await stage.fill(5);
    stage.disk.fail({ code: 'EIO', kinds: ['sync'], path: /\.log$/, times: 1 });
    stage.clock.advance(2000);
    await turns(20);
    stage.disk.dropCaches();
    return stage;
  }

  it('says so at the next start, once it goes on without it', async () => {
    const heal = async (stage: LogStage): Promise<void> => {
      await stage.heal();
      expect([stage.log.failure, stage.log.logEnd, stage.log.lostFrom]).toEqual([undefined, 5, Infinity]);
    };
    await endEverywhere(faulted, heal, ({ log }, isOver, wasKilled) => {
      // What a loss of power takes was not promised.
      if (isOver || wasKilled) expect([log.logEnd, log.lostFrom]).toEqual([5, Infinity]);
    });
  });

  it('is not taken for whole by who had not heard of it', async () => {
    const stage = await faulted(1);
    const release = stage.disk.hold(['removeFile', 'write', 'rename']);
    const healing = stage.heal();
    const saying = stage.log.markWhole();
    release();
    await Promise.all([healing, saying]);
    expect(stage.log.lostFrom).toBe(Infinity);
    await stage.reopen();
    expect(stage.log.lostFrom).toBe(Infinity);
  });

  it('has nothing to say when nothing was lost', async () => {
    const stage = await LogStage.open({ flush: 'interval' });
    await stage.fill(5);
    stage.disk.fail({ code: 'EIO', kinds: ['sync'], path: /\.log$/, times: 1 });
    stage.clock.advance(2000);
    await turns(20);
    await stage.heal();
    await stage.reopen();
    expect([stage.log.logEnd, stage.log.lostFrom]).toEqual([5, undefined]);
  });
});

describe('a log that is whole', () => {
  it('says nothing, after any end', async () => {
    for (const how of ['killed', 'powerLost'] as const) {
      const stage = await LogStage.open();
      await stage.fill(BATCHES);
      stage.appendSome(3);
      await stage.reopen(how);
      expect(stage.log.lostFrom).toBeUndefined();
    }
  });

  it('is so where a write was not finished', async () => {
    for (let bytes = 1; bytes < 1000; bytes += 61) {
      const stage = await LogStage.open({ flush: 'os' });
      await stage.fill(1);
      const write = stage.disk.calls.length;
      stage.disk.stopAt(write, bytes);
      stage.appendSome(1);
      await stage.disk.stopped;
      expect(stage.disk.calls[write]?.kind).toBe('write');
      await stage.reopen();
      expect([stage.log.logEnd, stage.log.lostFrom]).toEqual([1, undefined]);
    }
  });

  it('does not become less so by being cut off, or by beginning anew', async () => {
    const stage = await LogStage.open();
    await stage.fill(BATCHES);
    await stage.log.truncate(12);
    await stage.log.reset(100);
    await stage.reopen();
    expect(stage.log.lostFrom).toBeUndefined();
  });

  it('is not, from the beginning, when what was there before is gone', async () => {
    const stage = await LogStage.open();
    stage.disk = new FakeDisk();
    await stage.start(true);
    expect(stage.log.lostFrom).toBe(Infinity);
    await stage.reopen();
    expect(stage.log.lostFrom).toBe(Infinity);
  });

  it('counts as lost from the first offset on where its mark cannot be read', async () => {
    const stage = await LogStage.open();
    await stage.fill(3);
    stage.disk.plant(pathOf('incomplete'), Buffer.from('what?'));
    await stage.reopen();
    expect(stage.log.lostFrom).toBe(0);
  });
});

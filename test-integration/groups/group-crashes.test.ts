/** Members of a group as processes that are killed, frozen and started again, while its coordinator is killed too. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../test/support/seeded-random.ts';
import type { ClusterStage } from '../cluster/stage.ts';
import { PATIENCE, untilWhole } from '../cluster/trial.ts';
import { eventually } from '../support/eventually.ts';
import { checkGroup, longestPauseMs, readTimes } from './check-group.ts';
import { coordinatorOf } from './coordinators.ts';
import { Feeding } from './feeding.ts';
import { LONG_MS, startStage } from './stage.ts';
import type { Worker } from './workers.ts';
import { Workers } from './workers.ts';
import { nowMs } from './worker-task.ts';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const PARTITIONS = 6;
const SESSION_MS = 4000;
/** What a partition that does not move may pause: far less than those whose member was killed. */
const UNMOVED_MS = 2000 * PATIENCE;
const KILLS = 2;

describe(`a group whose members and coordinator are killed (SEED=${SEED})`, () => {
  let stage: ClusterStage;
  beforeAll(async () => {
    stage = await startStage();
  });
  afterAll(() => stage[Symbol.asyncDispose]());
  beforeEach(() => untilWhole(stage));

  async function feed(topic: string, workers: Workers): Promise<Feeding> {
    const client = await stage.connect();
    const settings = { storage: 'disk', replicationFactor: 3, minInsync: 2 } as const;
    await client.admin.createTopic({ name: topic, partitions: PARTITIONS, settings });
    return new Feeding(client, topic, PARTITIONS, (partition) => readTimes(workers.lines, partition).length);
  }

  /** Partitions that a worker has by what it has noted. */
  function held(workers: Workers, worker: Worker): ReadonlySet<number> {
    const partitions = new Set<number>();
    for (const line of workers.lines) {
      if (line.worker !== worker.name) continue;
      if (line.event === 'assigned') for (const { partition } of line.partitions) partitions.add(partition);
      if (line.event === 'revoked') for (const { partition } of line.partitions) partitions.delete(partition);
    }
    return partitions;
  }

  async function untilShared(workers: Workers, members: readonly Worker[]): Promise<void> {
    const isFair = (): boolean =>
      members.every((one) => held(workers, one).size === PARTITIONS / members.length);
    await eventually('each has its share', isFair, LONG_MS);
  }

  /** Resolves when every partition is read so many records further. */
  async function more(workers: Workers, records: number): Promise<void> {
    const counts = (): number[] =>
      Array.from({ length: PARTITIONS }, (_, p) => readTimes(workers.lines, p).length);
    const before = counts();
    await eventually(
      'all partitions go on',
      () => counts().every((count, p) => count >= before[p]! + records),
      LONG_MS,
    );
  }

  async function untilAllIsCommitted(group: string, records: readonly number[]): Promise<void> {
    const { admin } = await stage.connect();
    await eventually(
      'all is committed',
      async () => {
        const { offsets } = await admin.groups.describe(group);
        return (
          offsets.length === PARTITIONS &&
          offsets.every(({ partition, committed }) => committed === records[partition])
        );
      },
      LONG_MS,
    );
  }

  it('loses no record and repeats only what was not committed; one that wakes too late commits nothing and reads no further', async () => {
    const random = new SeededRandom(SEED);
    await using workers = new Workers(stage, {
      ...{ kind: 'group', topic: 'orders', group: 'billing', sessionTimeoutMs: SESSION_MS },
    });
    await using feeding = await feed('orders', workers);
    const zombie = workers.start({ workMs: 1500 });
    for (let n = 0; n < 2; n++) workers.start();
    const inHand = () => {
      const { length } = workers.of('settled', zombie);
      return workers.of('effect', zombie)[length];
    };
    await untilShared(workers, workers.alive);
    const { length } = workers.of('effect', zombie);
    await eventually('it has another record', () => workers.of('effect', zombie).length > length, LONG_MS);
    zombie.freeze();
    const stale = inHand()!;
    const lost = held(workers, zombie);

    const coordinator = await coordinatorOf(stage, 'g/billing');
    for (let round = 0; round < KILLS; round++) {
      await pause(random.between(0, 500));
      await random.pick(workers.alive.filter((worker) => worker !== zombie)).kill('SIGKILL');
      workers.start();
      if (round === 0) await coordinator.process.kill('SIGKILL');
      await more(workers, 5);
    }
    const { length: before } = workers.lines;
    zombie.thaw();
    const since = () => workers.lines.slice(before).filter(({ worker }) => worker === zombie.name);
    const late = () =>
      workers
        .of('settled', zombie)
        .filter(({ partition, offset }) => partition === stale.partition && offset === stale.offset);
    const isBack = (): boolean => since().some(({ event }) => event === 'assigned');
    await eventually('it is told, and a member again', () => isBack() && late().length > 0, LONG_MS);
    const told = since().slice(
      0,
      since().findIndex(({ event }) => event === 'assigned'),
    );
    await coordinator.process.restart();
    const records = await feeding.stop();
    // It would take most of the time for what is left: the others finish that.
    await zombie.kill('SIGKILL');
    await untilAllIsCommitted('billing', records);
    await workers.stop();

    expect(lost.has(stale.partition)).toBe(true);
    // Nothing of what lay there is handed out; it begins anew.
    expect(told.filter(({ event }) => event === 'effect')).toEqual([]);
    expect(late()[0]).toHaveProperty('code', expect.stringMatching(/^(STALE_GENERATION|UNKNOWN_MEMBER)$/));
    expect(checkGroup({ records, lines: workers.lines })).toEqual([]);
    expect(workers.failures).toEqual([]);
  });

  it('does not pause partitions that stay where they are while others move', async () => {
    await using workers = new Workers(stage, {
      ...{ kind: 'group', topic: 'steady', group: 'steady', sessionTimeoutMs: SESSION_MS, commit: 'auto' },
    });
    await using feeding = await feed('steady', workers);
    const [first, second] = [workers.start(), workers.start()];
    await untilShared(workers, [first, second]);
    await more(workers, 5);

    /** Partitions that stay with their members while something is done, and the longest pause of one of them. */
    const during = async (
      what: () => Promise<void>,
    ): Promise<{ readonly stayed: number; readonly pauseMs: number }> => {
      const fromMs = nowMs();
      const { length } = workers.lines;
      await what();
      await more(workers, 3);
      const moved = new Set(
        workers.lines
          .slice(length)
          .flatMap((line) => ('partitions' in line ? line.partitions.map(({ partition }) => partition) : [])),
      );
      const stayed = feeding.records
        .map((_, partition) => partition)
        .filter((partition) => !moved.has(partition));
      const pauses = stayed.map((partition) =>
        longestPauseMs(readTimes(workers.lines, partition), fromMs, nowMs()),
      );
      return { stayed: stayed.length, pauseMs: Math.max(...pauses) };
    };

    let third!: Worker;
    const joined = await during(async () => {
      third = workers.start();
      await untilShared(workers, [first, second, third]);
    });
    expect(joined.stayed).toBe(4);
    const left = await during(async () => {
      await first.kill('SIGTERM');
      await untilShared(workers, [second, third]);
    });
    expect(left.stayed).toBe(4);
    const killed = await during(async () => {
      await second.kill('SIGKILL');
      await untilShared(workers, [third]);
    });
    expect(killed.stayed).toBe(3);
    const pauses = [joined, left, killed].map(({ pauseMs }) => pauseMs);
    expect(Math.max(...pauses)).toBeLessThan(UNMOVED_MS);
    const records = await feeding.stop();
    await untilAllIsCommitted('steady', records);
    await workers.stop();
    expect(workers.failures).toEqual([]);
  });
});

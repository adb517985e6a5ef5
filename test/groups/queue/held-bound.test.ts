/** However few records are settled at a time, the state of a partition has an end, and is always drained again. */
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import {
  QueueSettingsSchema,
  SettlementKind,
  SettlementSchema,
} from '../../../src/gen/sluice/client/v1/groups_pb.ts';
import { CUT_MAX_BYTES, HELD_MAX_BYTES } from '../../../src/groups/queue/held-bound.ts';
import { queueCounters } from '../../../src/groups/queue/queue-context.ts';
import { QueuePartition } from '../../../src/groups/queue/queue-partition.ts';
import { settingsOf } from '../../../src/groups/queue/queue-settings.ts';
import { StateBudget } from '../../../src/groups/queue/state-budget.ts';
import { settle as settleOne, SettleWork } from '../../../src/groups/queue/settle.ts';
import { errorCodeFromWire } from '../../../src/kernel/errors.ts';

const SETTINGS = settingsOf('jobs', create(QueueSettingsSchema));
const CONTEXT = { counters: queueCounters(), stateBudget: new StateBudget(Infinity) };
const LEASE_MS = 60_000;
const now = { wallMs: 1_700_000_000_000, steadyMs: 0 };
/** Cut one by one they take more than they may. */
const RECORDS = 700_000;
const DAY_MS = 86_400_000;

/** All leased at once, which takes next to nothing. */
function leased(): { partition: QueuePartition; grant: number } {
  const partition = new QueuePartition(0, { maxAttempts: 0, backoffMs: 100, maxBackoffMs: 100 });
  partition.offer(0, RECORDS);
  const { grant } = partition.grant(partition.take(RECORDS, now), LEASE_MS, now);
  partition.drainEvents();
  return { partition, grant };
}

/** @returns the code it is refused with */
function settle(
  partition: QueuePartition,
  grant: number,
  [first, end]: readonly [number, number],
  kind: keyof typeof SettlementKind,
  delayMs?: number,
): string | undefined {
  const settlement = create(SettlementSchema, {
    ...{ grant: BigInt(grant), first: BigInt(first), end: BigInt(end), kind: SettlementKind[kind] },
    ...(delayMs === undefined ? {} : { delayMs }),
  });
  const refused = settleOne(partition, settlement, SETTINGS, now, CONTEXT, new SettleWork());
  return refused && errorCodeFromWire(refused.errorCode);
}

/** Settles records one by one until one is refused. @returns the first that is */
function fill(
  { partition, grant }: ReturnType<typeof leased>,
  kind: keyof typeof SettlementKind,
  step: number,
): number {
  for (let at = 1; at < RECORDS; at += step) {
    const delayMs = kind === 'EXTEND' ? 1000 + at : DAY_MS + at * 1000;
    const code = settle(partition, grant, [at, at + 1], kind, delayMs);
    partition.drainEvents();
    if (code === undefined) continue;
    expect(code).toBe('OVERLOADED');
    return at;
  }
  throw new Error('nothing was refused');
}

/** What one more lot, and its block, may be over. */
const SLACK_BYTES = 1000;

describe('the state of a partition', () => {
  it.each(['NACK', 'EXTEND'] as const)('does not grow without end by %s of single records', (kind) => {
    const held = leased();
    fill(held, kind, 1);
    expect(held.partition.heldBytes).toBeGreaterThanOrEqual(HELD_MAX_BYTES);
    expect(held.partition.heldBytes).toBeLessThan(HELD_MAX_BYTES + SLACK_BYTES);
  });

  it.each(['RELEASE', 'REJECT', 'ACK'] as const)(
    'does not grow without end by %s of every other record',
    (kind) => {
      const held = leased();
      fill(held, kind, 2);
      const most = kind === 'ACK' ? CUT_MAX_BYTES : HELD_MAX_BYTES;
      expect(held.partition.heldBytes).toBeGreaterThanOrEqual(most);
      expect(held.partition.heldBytes).toBeLessThan(most + SLACK_BYTES);
    },
  );

  it('is drained when it is as large as it may be: runs end from their ends, and whole ones in any way', () => {
    const { partition, grant } = leased();
    const from = fill({ partition, grant }, 'NACK', 1);
    const block = Math.ceil(from / 256) * 256;
    expect(settle(partition, grant, [block, block + 1], 'ACK')).toBeUndefined();
    expect(settle(partition, grant, [block + 255, block + 256], 'ACK')).toBeUndefined();
    expect(settle(partition, grant, [block + 1, block + 255], 'RELEASE')).toBeUndefined();
    expect(settle(partition, grant, [block + 256, block + 512], 'EXTEND', 5000)).toBeUndefined();
    expect(settle(partition, grant, [block + 512, block + 768], 'NACK', 7000)).toBeUndefined();
    expect(settle(partition, grant, [block + 768, RECORDS], 'ACK')).toBeUndefined();
    partition.expire({ ...now, steadyMs: DAY_MS });
    const later = { wallMs: now.wallMs + 1000 * DAY_MS, steadyMs: DAY_MS };
    for (;;) {
      const runs = partition.take(256, later, CUT_MAX_BYTES);
      if (runs.length === 0) break;
      const next = partition.grant(runs, LEASE_MS, later);
      for (const { first, end } of runs)
        expect(settle(partition, next.grant, [first, end], 'ACK')).toBeUndefined();
      partition.drainEvents();
    }
    expect(partition.floor).toBe(RECORDS);
    expect(partition.heldBytes).toBe(0);
  });

  it('makes one run of neighbours that fail one by one: delays of a second or more end together', () => {
    const { partition, grant } = leased();
    const delayed = (first: number, delayMs: number): number[] => {
      for (let n = 0; n < 3; n++)
        partition.nack(grant, first + n, first + n + 1, { ...now, wallMs: now.wallMs + 1 + n * 40 }, delayMs);
      const runs = partition.capture().runs.filter((run) => run.first >= first && run.first < first + 3);
      return runs.map(({ availableAtMs }) => availableAtMs - now.wallMs);
    };
    expect(delayed(0, 1000)).toEqual([1100]);
    expect(delayed(300, 999)).toEqual([1000, 1040, 1080]);
  });

  it('is not cut by leases of single records without end, and whole runs are leased all the same', () => {
    const { partition, grant } = leased();
    expect(settle(partition, grant, [0, RECORDS], 'RELEASE')).toBeUndefined();
    let taken = 0;
    for (; taken < RECORDS; taken++) {
      const runs = partition.take(1, now, CUT_MAX_BYTES);
      if (runs.length === 0) break;
      partition.grant(runs, LEASE_MS, now);
      partition.drainEvents();
    }
    expect(taken).toBeLessThan(RECORDS);
    expect(partition.heldBytes).toBeLessThan(CUT_MAX_BYTES + SLACK_BYTES);
    const [run] = partition.take(256, now, CUT_MAX_BYTES);
    expect(run!.end - run!.first).toBeGreaterThan(1);
  });
});

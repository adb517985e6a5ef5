/**
 * A process that is many members of one consumer group, each with a connection of its own: takes orders over IPC and reports.
 *
 *     join    makes the members, and waits until every partition is held and their numbers differ by at most one; reports `joined`
 *     leave   one of them leaves while the others read on; reports `rebalanced`
 */
import type { ServerAddress } from '../adapters/adapter.ts';
import type { Client, GroupConsumer } from '../../src/client/index.ts';
import { connect } from '../../src/client/index.ts';
import { ageMs } from './payload.ts';

interface JoinOrder {
  readonly kind: 'join';
  readonly server: ServerAddress;
  readonly group: string;
  readonly topic: string;
  readonly partitions: number;
  readonly members: number;
}

interface LeaveOrder {
  readonly kind: 'leave';
  /** Is watched before and after. */
  readonly watchMs: number;
}

export type GroupOrder = JoinOrder | LeaveOrder;

/** How partitions that stay with their member were read in some time; the worst of all partitions. */
export interface Smoothness {
  /** From publishing a record to reading it. */
  readonly maxAgeMs: number;
  /** Between two records of one partition. */
  readonly maxGapMs: number;
}

export type GroupReport =
  | {
      readonly kind: 'joined';
      /** Since the first of them began. */
      readonly ms: number;
    }
  | {
      readonly kind: 'rebalanced';
      /** Partitions that the member had. */
      readonly moved: number;
      /** Partitions that were taken from a member that stayed. */
      readonly taken: number;
      /** From the moment the member begins to leave until others hold all its partitions. */
      readonly heldMs: number;
      /** … until a record of each of them was read. */
      readonly readMs: number;
      /** Partitions that stay where they are, before. */
      readonly before: Smoothness;
      /** The same in a time of the same length that begins when the member begins to leave. */
      readonly after: Smoothness;
    }
  | { readonly kind: 'failed'; readonly message: string };

/** One partition, as whoever holds it sees it. */
interface Watched {
  holder: GroupConsumer | undefined;
  lastMs: number;
  maxAgeMs: number;
  maxGapMs: number;
  onRecord: (() => void) | undefined;
}

const LOOK_MS = 1;
const report = (message: GroupReport): void => {
  process.send!(message);
};
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const clients: Client[] = [];
const members: GroupConsumer[] = [];
let partitions: readonly Watched[] = [];
/** Partitions that members gave up since the last reset; one that leaves gives up none. */
let taken = 0;

async function join(order: JoinOrder): Promise<void> {
  const { server, group, topic } = order;
  partitions = Array.from({ length: order.partitions }, unwatched);
  const url = `quic://${server.host}:${server.port}`;
  for (let n = 0; n < order.members; n += 1) clients.push(await connect(url, { ca: server.caFile }));
  const startMs = performance.now();
  for (const client of clients) {
    const member = client.group(group, { topics: [topic], from: 'latest' });
    member.on('assigned', ({ partitions: all }) => {
      for (const { partition } of all) partitions[partition]!.holder = member;
    });
    member.on('revoked', ({ partitions: all }) => {
      taken += all.length;
      for (const { partition } of all) {
        if (partitions[partition]!.holder === member) partitions[partition]!.holder = undefined;
      }
    });
    members.push(member);
    read(member).catch(fail);
  }
  while (!isBalanced()) await pause(LOOK_MS);
  report({ kind: 'joined', ms: performance.now() - startMs });
}

function unwatched(): Watched {
  return { holder: undefined, lastMs: 0, maxAgeMs: 0, maxGapMs: 0, onRecord: undefined };
}

async function read(member: GroupConsumer): Promise<void> {
  for await (const { partition, value } of member) {
    const watched = partitions[partition]!;
    if (watched.holder !== member) continue;
    const nowMs = performance.now();
    watched.maxAgeMs = Math.max(watched.maxAgeMs, ageMs(value!));
    if (watched.lastMs > 0) watched.maxGapMs = Math.max(watched.maxGapMs, nowMs - watched.lastMs);
    watched.lastMs = nowMs;
    watched.onRecord?.();
  }
}

function isBalanced(): boolean {
  const counts = members.map((member) => partitions.filter(({ holder }) => holder === member).length);
  const held = counts.reduce((sum, count) => sum + count, 0);
  return held === partitions.length && Math.max(...counts) - Math.min(...counts) <= 1;
}

async function leave({ watchMs }: LeaveOrder): Promise<void> {
  const leaving = members.shift()!;
  const moving = partitions.filter(({ holder }) => holder === leaving);
  const staying = partitions.filter(({ holder }) => holder !== leaving);
  reset(partitions);
  await pause(watchMs);
  const before = smoothness(staying);
  reset(partitions);
  taken = 0;
  const startMs = performance.now();
  for (const watched of moving) watched.holder = undefined;
  const firstRecords = moving.map(
    (watched) => new Promise<number>((resolve) => (watched.onRecord = () => resolve(performance.now()))),
  );
  const left = leaving.close();
  const watched = pause(watchMs).then(() => smoothness(staying));
  while (partitions.some(({ holder }) => holder === undefined)) await pause(LOOK_MS);
  const heldMs = performance.now() - startMs;
  await left;
  const readMs = Math.max(...(await Promise.all(firstRecords))) - startMs;
  const after = await watched;
  report({ kind: 'rebalanced', moved: moving.length, taken, heldMs, readMs, before, after });
  await Promise.all(clients.map((client) => client.close()));
}

function reset(all: readonly Watched[]): void {
  const nowMs = performance.now();
  for (const watched of all) Object.assign(watched, { lastMs: nowMs, maxAgeMs: 0, maxGapMs: 0 });
}

function smoothness(all: readonly Watched[]): Smoothness {
  const nowMs = performance.now();
  return {
    maxAgeMs: Math.max(...all.map(({ maxAgeMs }) => maxAgeMs)),
    // Also one that has not ended.
    maxGapMs: Math.max(...all.map(({ maxGapMs, lastMs }) => Math.max(maxGapMs, nowMs - lastMs))),
  };
}

function fail(error: unknown): void {
  report({
    kind: 'failed',
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });
}

process.on('message', (order: GroupOrder) => {
  (order.kind === 'join' ? join(order) : leave(order)).catch(fail);
});
process.on('disconnect', () => process.exit(0));

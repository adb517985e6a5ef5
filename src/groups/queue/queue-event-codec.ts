import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  DeadReason as WireReason,
  MoveKind,
  type QueueEvent as WireEvent,
  type QueueEventSchema,
  type QueueMove,
  type QueueMoveSchema,
  type RecordsOfferedEach,
} from '../../gen/sluice/groups/v1/queue_state_pb.ts';
import { checkColumn, columnToWire, expiryToWire } from './columns.ts';
import type { DeadReason, Move, QueueEvent, RecordDetails } from './queue-event.ts';
import { corrupt, runsFromWire, runsToWire, safeDouble, safeNumber, sortedRuns } from './stored-runs.ts';

type Wire = NonNullable<MessageInitShape<typeof QueueEventSchema>['event']>;
/** Records of one batch, at most: each takes some bytes of 16 MiB. */
const EACH_MAX_RECORDS = 2 ** 22;

type EachEvent = Extract<QueueEvent, { kind: 'offered-each' }>;

/** An event as it is stored. */
export function eventToWire(event: QueueEvent): MessageInitShape<typeof QueueEventSchema> {
  return { event: toWire(event) };
}

/** @throws CORRUPT_LOG for what no event can be */
export function eventFromWire({ event }: WireEvent): QueueEvent {
  switch (event.case) {
    case 'advanced':
      return { kind: 'advanced', cursor: safeNumber(event.value.cursor) };
    case 'offered':
      return { kind: 'offered', first: safeNumber(event.value.first), end: safeNumber(event.value.end) };
    case 'offeredEach':
      return eachFromWire(event.value);
    case 'moveBegun':
      return { kind: 'move-begun', move: moveFromWire(event.value) };
    case 'moveDone':
      return { kind: 'move-done', id: safeNumber(event.value.id) };
    case 'moveCancelled':
      return { kind: 'move-cancelled', id: safeNumber(event.value.id) };
    default:
      return leaseEventFromWire(event);
  }
}

/** A move as it is stored. */
export function moveToWire(move: Move): MessageInitShape<typeof QueueMoveSchema> {
  const { topic, partition, sequence, atMs } = move;
  const kind = move.kind === 'replay' ? MoveKind.REPLAY : MoveKind.DEAD_LETTER;
  const [id, producerId] = [BigInt(move.id), BigInt(move.producerId)];
  return { id, kind, topic, partition, producerId, sequence, atMs, runs: runsToWire(move.runs) };
}

/** @throws CORRUPT_LOG */
export function moveFromWire(move: QueueMove): Move {
  const { topic, partition, sequence } = move;
  if (move.kind === MoveKind.UNSPECIFIED) throw corrupt('a move of no kind');
  const kind = move.kind === MoveKind.REPLAY ? 'replay' : 'dead-letter';
  const [id, producerId, atMs] = [safeNumber(move.id), safeNumber(move.producerId), safeDouble(move.atMs)];
  return { id, kind, topic, partition, producerId, sequence, atMs, runs: runsFromWire(move.runs) };
}

/** Undefined is stored as well: not dead. */
export function reasonToWire(reason: DeadReason | undefined): WireReason {
  if (reason === undefined) return WireReason.UNSPECIFIED;
  return reason === 'rejected' ? WireReason.REJECTED : WireReason.MAX_ATTEMPTS;
}

export function reasonFromWire(reason: WireReason): DeadReason | undefined {
  if (reason === WireReason.UNSPECIFIED) return undefined;
  return reason === WireReason.REJECTED ? 'rejected' : 'max-attempts';
}

function toWire(event: QueueEvent): Wire {
  switch (event.kind) {
    case 'advanced':
      return { case: 'advanced', value: { cursor: BigInt(event.cursor) } };
    case 'offered':
      return { case: 'offered', value: { first: BigInt(event.first), end: BigInt(event.end) } };
    case 'offered-each':
      return { case: 'offeredEach', value: eachToWire(event) };
    case 'move-begun':
      return { case: 'moveBegun', value: moveToWire(event.move) };
    case 'move-done':
      return { case: 'moveDone', value: { id: BigInt(event.id) } };
    case 'move-cancelled':
      return { case: 'moveCancelled', value: { id: BigInt(event.id) } };
    default:
      return leaseEventToWire(event);
  }
}

type LeaseEvent = Extract<QueueEvent, { kind: 'granted' | 'done' | 'retried' | 'extended' | 'died' }>;

function leaseEventToWire(event: LeaseEvent): Wire {
  const runs = runsToWire(sortedRuns(event.runs));
  switch (event.kind) {
    case 'granted':
      return { case: 'granted', value: { runs, grant: BigInt(event.grant), leaseMs: event.leaseMs } };
    case 'done':
      return { case: 'done', value: { runs } };
    case 'retried': {
      const { availableAtMs, released } = event;
      return { case: 'retried', value: { runs, availableAtMs, released } };
    }
    case 'extended':
      return { case: 'extended', value: { runs, leaseMs: event.leaseMs } };
    case 'died':
      return { case: 'died', value: { runs, reason: reasonToWire(event.reason), text: event.text } };
  }
}

function leaseEventFromWire(event: WireEvent['event']): QueueEvent {
  switch (event.case) {
    case 'granted':
      return {
        kind: 'granted',
        grant: safeNumber(event.value.grant),
        leaseMs: event.value.leaseMs,
        runs: runsFromWire(event.value.runs),
      };
    case 'done':
      return { kind: 'done', runs: runsFromWire(event.value.runs) };
    case 'retried':
      return {
        kind: 'retried',
        runs: runsFromWire(event.value.runs),
        availableAtMs: safeDouble(event.value.availableAtMs),
        released: event.value.released,
      };
    case 'extended':
      return { kind: 'extended', runs: runsFromWire(event.value.runs), leaseMs: event.value.leaseMs };
    case 'died': {
      const reason = reasonFromWire(event.value.reason) ?? 'max-attempts';
      return { kind: 'died', runs: runsFromWire(event.value.runs), reason, text: event.value.text };
    }
    default:
      throw corrupt('an event of no kind: it is of a newer version');
  }
}

function eachToWire({ end, records }: EachEvent): Extract<Wire, { case: 'offeredEach' }>['value'] {
  return {
    end: BigInt(end),
    runs: runsToWire(sortedRuns(records.map(({ offset }) => ({ first: offset, end: offset + 1 })))),
    availableAtMs: columnToWire(records.map(({ availableAtMs }) => availableAtMs ?? 0)),
    expiresAtMs: columnToWire(records.map(({ expiresAtMs }) => expiryToWire(expiresAtMs))),
    key: columnToWire(records.map(({ keyHash }) => (keyHash ?? -1) + 1)),
  };
}

function eachFromWire(event: RecordsOfferedEach): EachEvent {
  const { availableAtMs, expiresAtMs, key } = event;
  const runs = runsFromWire(event.runs);
  const rows = runs.reduce((count, { first, end }) => count + end - first, 0);
  if (rows > EACH_MAX_RECORDS) throw corrupt(`${rows} records in one event`);
  for (const column of [availableAtMs, expiresAtMs, key]) checkColumn(column, rows);
  const records: RecordDetails[] = [];
  for (const { first, end } of runs) {
    for (let offset = first; offset < end; offset++) {
      const row = records.length;
      records.push({
        offset,
        availableAtMs: availableAtMs[row] || undefined,
        expiresAtMs: expiresAtMs[row] || undefined,
        keyHash: key[row] ? key[row] - 1 : undefined,
      });
    }
  }
  return { kind: 'offered-each', end: safeNumber(event.end), records };
}

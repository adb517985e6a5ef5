import { create, fromBinary, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import {
  QueueSnapshotPartSchema,
  QueueSnapshotSchema,
  type OpenRuns,
  type OpenRunsSchema,
} from '../../gen/sluice/groups/v1/queue_state_pb.ts';
import { checkColumn, columnToWire, expiryToWire } from './columns.ts';
import { moveFromWire, moveToWire, reasonFromWire, reasonToWire } from './queue-event-codec.ts';
import type { StoredRun } from './queue-runs.ts';
import type { QueueSnapshot } from './queue-snapshot.ts';
import { corrupt, runsFromWire, runsToWire, safeNumber } from './stored-runs.ts';

/** Runs of one record, at most: of some 40 bytes each, and with all texts that a state may have they are far below what a batch may be. */
const RECORD_MAX_RUNS = 16_384;

/** A snapshot, and the number of the newest delta that is in it. */
export interface NumberedSnapshot {
  readonly number: number;
  readonly snapshot: QueueSnapshot;
}

/** The end of a snapshot, and which parts come before. */
export interface SnapshotHead extends NumberedSnapshot {
  readonly parts: number;
  /** Which of two sets of keys they are under. */
  readonly partSet: number;
}

/** Runs that come before those of the head, or of the next part. */
export interface SnapshotPart {
  /** That of the snapshot. */
  readonly number: number;
  readonly runs: readonly StoredRun[];
}

/** A snapshot as it is stored: first its parts, then its head. */
export interface EncodedSnapshot {
  /** Nearly always none. */
  readonly parts: readonly Buffer[];
  readonly head: Buffer;
}

/** @param partSet of the keys that its parts will be under @see proto/sluice/groups/v1/queue_state.proto */
export function encodeSnapshot({ number, snapshot }: NumberedSnapshot, partSet: number): EncodedSnapshot {
  const { runs } = snapshot;
  const parts: Buffer[] = [];
  let first = 0;
  for (; runs.length - first > RECORD_MAX_RUNS; first += RECORD_MAX_RUNS) {
    parts.push(encodePart(number, runs.slice(first, first + RECORD_MAX_RUNS)));
  }
  const message = create(QueueSnapshotSchema, {
    number: BigInt(number),
    cursor: BigInt(snapshot.cursor),
    nextGrant: BigInt(snapshot.nextGrant),
    nextMove: BigInt(snapshot.nextMove),
    moves: snapshot.moves.map(moveToWire),
    open: openToWire(first === 0 ? runs : runs.slice(first)),
    parts: parts.length,
    partSet: parts.length === 0 ? 0 : partSet,
  });
  return { parts, head: Buffer.from(toBinary(QueueSnapshotSchema, message)) };
}

/** Without the runs of its parts. @throws CORRUPT_LOG for a state that cannot be, and what protobuf throws for bytes that are no snapshot */
export function decodeHead(bytes: Buffer): SnapshotHead {
  const message = fromBinary(QueueSnapshotSchema, bytes);
  const { parts, partSet } = message;
  const snapshot = {
    cursor: safeNumber(message.cursor),
    nextGrant: safeNumber(message.nextGrant),
    nextMove: safeNumber(message.nextMove),
    moves: message.moves.map(moveFromWire),
    runs: message.open.flatMap(openFromWire),
  };
  if (partSet > 1) throw corrupt(`parts of the set ${partSet}`);
  return { number: safeNumber(message.number), snapshot, parts, partSet };
}

/** @throws as {@link decodeHead} */
export function decodePart(bytes: Buffer): SnapshotPart {
  const { number, open } = fromBinary(QueueSnapshotPartSchema, bytes);
  return { number: safeNumber(number), runs: open.flatMap(openFromWire) };
}

function encodePart(number: number, runs: readonly StoredRun[]): Buffer {
  const message = create(QueueSnapshotPartSchema, { number: BigInt(number), open: openToWire(runs) });
  return Buffer.from(toBinary(QueueSnapshotPartSchema, message));
}

/** One table, or several where the steps between runs would not fit in one. */
function openToWire(runs: readonly StoredRun[]): MessageInitShape<typeof OpenRunsSchema>[] {
  const tables: MessageInitShape<typeof OpenRunsSchema>[] = [];
  let rows = 0;
  for (const stored of runsToWire(runs)) {
    const count = (stored.steps!.length + 1) / 2;
    tables.push({ ...columnsToWire(runs.slice(rows, rows + count)), runs: stored });
    rows += count;
  }
  return tables;
}

function columnsToWire(runs: readonly StoredRun[]) {
  const texts = new Map<string, number>();
  const text = runs.map((run) => {
    if (run.text !== '' && !texts.has(run.text)) texts.set(run.text, texts.size + 1);
    return texts.get(run.text) ?? 0;
  });
  return {
    attempts: columnToWire(runs.map((run) => run.attempts)),
    grant: columnToWire(runs.map((run) => run.grant)),
    leaseMs: columnToWire(runs.map((run) => run.leaseMs)),
    availableAtMs: columnToWire(runs.map((run) => run.availableAtMs)),
    expiresAtMs: columnToWire(runs.map((run) => expiryToWire(run.expiresAtMs))),
    key: columnToWire(runs.map((run) => run.keyHash + 1)),
    reason: columnToWire(runs.map((run) => reasonToWire(run.reason))),
    text: columnToWire(text),
    texts: [...texts.keys()],
  };
}

function openFromWire(table: OpenRuns): StoredRun[] {
  const { attempts, grant, leaseMs, availableAtMs, expiresAtMs, key, reason, text, texts } = table;
  const runs = table.runs ? runsFromWire([table.runs]) : [];
  for (const column of [attempts, grant, leaseMs, availableAtMs, expiresAtMs, key, reason, text]) {
    checkColumn(column, runs.length);
  }
  if (text.some((index) => index > texts.length)) throw corrupt('a text that is not there');
  return runs.map(({ first, end }, row) => ({
    ...{ first, end },
    attempts: attempts[row] ?? 0,
    grant: grant[row] ?? 0,
    leaseMs: leaseMs[row] ?? 0,
    availableAtMs: availableAtMs[row] ?? 0,
    expiresAtMs: expiresAtMs[row] || Infinity,
    keyHash: (key[row] ?? 0) - 1,
    reason: reasonFromWire(reason[row] ?? 0),
    text: text[row] ? texts[text[row] - 1]! : '',
  }));
}

import { create, fromBinary, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import {
  QueueSnapshotSchema,
  type OpenRuns,
  type OpenRunsSchema,
} from '../../gen/sluice/groups/v1/queue_state_pb.ts';
import { checkColumn, columnToWire, expiryToWire } from './columns.ts';
import { moveFromWire, moveToWire, reasonFromWire, reasonToWire } from './queue-event-codec.ts';
import type { StoredRun } from './queue-runs.ts';
import type { QueueSnapshot } from './queue-snapshot.ts';
import { corrupt, runsFromWire, runsToWire, safeNumber } from './stored-runs.ts';

/** A snapshot, and the number of the newest delta that is in it. */
export interface NumberedSnapshot {
  readonly number: number;
  readonly snapshot: QueueSnapshot;
}

/** @see proto/sluice/groups/v1/queue_state.proto */
export function encodeSnapshot({ number, snapshot }: NumberedSnapshot): Buffer {
  const message = create(QueueSnapshotSchema, {
    number: BigInt(number),
    cursor: BigInt(snapshot.cursor),
    nextGrant: BigInt(snapshot.nextGrant),
    nextMove: BigInt(snapshot.nextMove),
    moves: snapshot.moves.map(moveToWire),
    open: openToWire(snapshot.runs),
  });
  return Buffer.from(toBinary(QueueSnapshotSchema, message));
}

/** @throws CORRUPT_LOG for a state that cannot be, and what protobuf throws for bytes that are no snapshot */
export function decodeSnapshot(bytes: Buffer): NumberedSnapshot {
  const message = fromBinary(QueueSnapshotSchema, bytes);
  const snapshot = {
    cursor: safeNumber(message.cursor),
    nextGrant: safeNumber(message.nextGrant),
    nextMove: safeNumber(message.nextMove),
    moves: message.moves.map(moveFromWire),
    runs: message.open.flatMap(openFromWire),
  };
  return { number: safeNumber(message.number), snapshot };
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

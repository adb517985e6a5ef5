import type { DeadLetter } from '../../src/client/index.ts';
import type { JournalLine } from './worker-task.ts';
import { POISON } from './worker-task.ts';

/** What was done with a queue. */
export interface QueueHistory {
  /** Values of all records whose publish was acknowledged; each but once. */
  readonly published: readonly string[];
  readonly lines: readonly JournalLine[];
  readonly letters: readonly DeadLetter[];
  readonly leaseMs: number;
  readonly maxAttempts: number;
  /** Leases that may have been given to somebody who was killed before he could note them. */
  readonly maxUnseen: number;
}

type Lease = Extract<JournalLine, { readonly event: 'leased' }>;

interface RecordHistory {
  readonly value: string;
  readonly leases: Lease[];
  readonly acknowledged: number[];
  /** Attempts in which it was worked on. */
  readonly effects: number[];
  letters: number;
}

/** What a queue promises and did not keep, in words; empty: nothing. The queue must be empty by then. @see docs/groups.md */
export function checkQueue(history: QueueHistory): readonly string[] {
  const records = gather(history);
  const faults: string[] = [];
  let unseen = 0;
  for (const record of records.values()) {
    faults.push(...outcomeFaults(record), ...leaseFaults(record, history.leaseMs));
    const last = record.letters > 0 ? history.maxAttempts : Math.max(0, ...record.leases.map(attemptOf));
    unseen += last - record.leases.length;
    if (last > history.maxAttempts) faults.push(`${record.value}: attempt ${last}`);
  }
  for (const { record, attempts, reason } of history.letters) {
    if (reason !== 'max-attempts' || attempts !== history.maxAttempts)
      faults.push(`dead letter ${record.text()}: ${reason} after ${attempts}`);
  }
  if (unseen > history.maxUnseen)
    faults.push(`${unseen} attempts were counted that nobody saw, not ${history.maxUnseen}`);
  return faults;
}

function gather({ published, lines, letters }: QueueHistory): ReadonlyMap<string, RecordHistory> {
  const records = new Map<string, RecordHistory>();
  const at = (value: string): RecordHistory => {
    let record = records.get(value);
    if (!record) records.set(value, (record = newRecord(value)));
    return record;
  };
  for (const value of published) at(value);
  for (const line of lines) {
    if (line.event === 'leased') at(line.value).leases.push(line);
    else if (line.event === 'effect') at(line.value).effects.push(line.attempt!);
    else if (line.event === 'settled' && line.how === 'ack' && line.code === undefined)
      at(line.value).acknowledged.push(line.attempt!);
  }
  for (const { record } of letters) at(record.text()).letters += 1;
  return records;
}

function newRecord(value: string): RecordHistory {
  return { value, leases: [], acknowledged: [], effects: [], letters: 0 };
}

/** It is done or dead, and not both, and that but once. */
function outcomeFaults({ value, leases, acknowledged, effects, letters }: RecordHistory): string[] {
  const faults: string[] = [];
  if (letters > 1) faults.push(`${value}: ${letters} dead letters`);
  if (letters > 0 && acknowledged.length > 0) faults.push(`${value}: acknowledged, and dead`);
  if (acknowledged.length > 1) faults.push(`${value}: acknowledged ${acknowledged.length} times`);
  if (value.startsWith(POISON) && letters === 0) faults.push(`${value}: no dead letter`);
  // Where no acknowledgement was answered the last one may have been stored: it was asked for once the work was done.
  const mayBeDone = effects.includes(Math.max(0, ...leases.map(attemptOf)));
  if (letters + acknowledged.length === 0 && !mayBeDone) faults.push(`${value}: lost`);
  return faults;
}

/** Each attempt was one consumer's; the next began when that was over. */
function leaseFaults({ value, leases, acknowledged }: RecordHistory, leaseMs: number): string[] {
  const faults: string[] = [];
  const inOrder = leases.toSorted((a, b) => attemptOf(a) - attemptOf(b));
  for (const [index, lease] of inOrder.entries()) {
    const before = inOrder[index - 1];
    if (before === undefined) continue;
    if (before.attempt === lease.attempt)
      faults.push(
        `${value}: attempt ${attemptOf(lease)} was given to ${before.worker} and to ${lease.worker}`,
      );
    if (acknowledged.some((attempt) => attempt < attemptOf(lease)))
      faults.push(`${value}: leased to ${lease.worker} after it was acknowledged`);
    // What fails always is given back before its lease is over.
    if (!value.startsWith(POISON) && lease.atMs < before.askedMs + leaseMs)
      faults.push(`${value}: leased to ${lease.worker} while it was leased to ${before.worker}`);
  }
  return faults;
}

function attemptOf({ attempt = 0 }: Lease): number {
  return attempt;
}

import type {
  DeadReason,
  MoveIntent,
  OffsetRun,
  RecordDetails,
} from '../../../src/groups/queue/queue-event.ts';
import type { OpenRun, RedeliverySettings } from '../../../src/groups/queue/queue-partition.ts';

/** One record that is not done. */
interface NaiveRecord {
  state: 'waiting' | 'leased' | 'dead' | 'moving';
  taken: boolean;
  attempts: number;
  grant: number;
  leaseMs: number;
  deadlineMs: number;
  availableAtMs: number;
  expiresAtMs: number;
  keyHash: number | undefined;
  reason: DeadReason | undefined;
  text: string;
  moveId: number;
}

/** What a partition of a queue has to do, written down as plainly as it goes: one entry for each record, looked at one by one. */
export class NaivePartition {
  records = new Map<number, NaiveRecord>();
  moves = new Map<number, readonly OffsetRun[]>();
  cursor: number;
  nextGrant = 1;
  nextMove = 1;
  wallMs = 1_000_000;
  steadyMs = 5000;
  readonly settings: RedeliverySettings;

  constructor(cursor: number, settings: RedeliverySettings) {
    this.cursor = cursor;
    this.settings = settings;
  }

  get floor(): number {
    return Math.min(this.cursor, ...this.records.keys());
  }

  /** What a crash leaves of it: time goes on, what was taken is not, and leases begin anew. */
  restarted(wallMs: number, steadyMs: number): NaivePartition {
    const copy = this.copy();
    Object.assign(copy, { wallMs, steadyMs });
    for (const record of copy.records.values()) {
      record.taken = false;
      record.deadlineMs = steadyMs + record.leaseMs;
    }
    return copy;
  }

  copy(): NaivePartition {
    const copy = new NaivePartition(this.cursor, this.settings);
    const { nextGrant, nextMove, wallMs, steadyMs } = this;
    Object.assign(copy, { nextGrant, nextMove, wallMs, steadyMs });
    copy.records = structuredClone(this.records);
    copy.moves = new Map(this.moves);
    return copy;
  }

  offerEach(end: number, records: readonly RecordDetails[]): void {
    for (const { offset, keyHash, availableAtMs, expiresAtMs } of records) {
      this.records.set(offset, {
        ...{ state: 'waiting', taken: false, attempts: 0, grant: 0, leaseMs: 0, deadlineMs: 0 },
        ...{ availableAtMs: availableAtMs ?? 0, expiresAtMs: expiresAtMs ?? Infinity },
        ...{ keyHash, reason: undefined, text: '', moveId: 0 },
      });
    }
    this.cursor = end;
  }

  skip(first: number, end: number): number {
    let count = this.discard(first, end);
    for (; this.cursor < end; this.cursor++) if (this.cursor >= first) count++;
    return count;
  }

  discard(first: number, end: number): number {
    let count = 0;
    for (const [offset, record] of this.#range(first, end)) {
      if (record.state === 'leased' || record.state === 'moving') continue;
      this.records.delete(offset);
      count++;
    }
    return count;
  }

  /** Offsets. */
  take(max: number): number[] {
    const taken: number[] = [];
    for (const offset of this.#sorted()) {
      const record = this.records.get(offset)!;
      if (taken.length === max) break;
      if (this.stateOf(offset) !== 'ready') continue;
      if (record.expiresAtMs <= this.wallMs) {
        this.records.delete(offset);
        continue;
      }
      record.taken = true;
      taken.push(offset);
    }
    return taken;
  }

  takeDead(max: number): number[] {
    const dead = this.#sorted().filter((offset) => this.stateOf(offset) === 'dead');
    for (const offset of dead.slice(0, max)) this.records.get(offset)!.taken = true;
    return dead.slice(0, max);
  }

  takeRange(first: number, end: number): number[] {
    const free = this.#range(first, end).filter(
      ([, { state, taken }]) => !taken && state !== 'leased' && state !== 'moving',
    );
    for (const [, record] of free) record.taken = true;
    return free.map(([offset]) => offset);
  }

  giveBack(first: number, end: number): void {
    for (const [, record] of this.#range(first, end)) record.taken = false;
  }

  grant(runs: readonly OffsetRun[], leaseMs: number): number[] {
    const granted: number[] = [];
    for (const { first, end } of runs) {
      for (const [offset, record] of this.#range(first, end)) {
        if (!record.taken) continue;
        Object.assign(record, { state: 'leased', taken: false, availableAtMs: 0, leaseMs });
        record.attempts++;
        record.grant = this.nextGrant;
        record.deadlineMs = this.steadyMs + leaseMs;
        granted.push(offset);
      }
    }
    if (granted.length > 0) this.nextGrant++;
    return granted;
  }

  ack(grant: number, first: number, end: number): number {
    return this.#settle(grant, first, end, (_, offset) => this.records.delete(offset));
  }

  nack(grant: number, first: number, end: number, delayMs: number | undefined, text: string): number {
    return this.#settle(grant, first, end, (record) => this.#again(record, delayMs, text));
  }

  reject(grant: number, first: number, end: number, text: string): number {
    return this.#settle(grant, first, end, (record) => die(record, 'rejected', text));
  }

  extend(grant: number, first: number, end: number, leaseMs: number): number {
    return this.#settle(grant, first, end, (record) => {
      record.leaseMs = leaseMs;
      record.deadlineMs = this.steadyMs + leaseMs;
    });
  }

  release(grant: number, first: number, end: number): number {
    return this.#settle(grant, first, end, (record) => {
      retry(record, 0);
      record.attempts--;
    });
  }

  expire(): number {
    let count = 0;
    for (const record of this.records.values()) {
      if (record.state !== 'leased' || record.deadlineMs > this.steadyMs) continue;
      this.#again(record, undefined, 'The lease ended without an answer.');
      count++;
    }
    return count;
  }

  /** Undefined: nothing waits for a time. */
  nextDueInMs(): number | undefined {
    const due: number[] = [];
    for (const [offset, record] of this.records) {
      if (record.state === 'leased') due.push(Math.max(0, record.deadlineMs - this.steadyMs));
      if (this.stateOf(offset) === 'delayed') due.push(record.availableAtMs - this.wallMs);
    }
    return due.length === 0 ? undefined : Math.min(...due);
  }

  beginMove({ runs }: MoveIntent): number | undefined {
    const offsets = runs.flatMap(({ first, end }) =>
      Array.from({ length: end - first }, (_, n) => first + n),
    );
    const records = offsets.map((offset) => this.records.get(offset));
    if (records.some((record) => !record || record.state === 'leased' || record.state === 'moving')) return;
    const id = this.nextMove++;
    for (const record of records) Object.assign(record!, { state: 'moving', moveId: id, taken: false });
    this.moves.set(id, runs);
    return id;
  }

  endMove(id: number): void {
    this.moves.delete(id);
    for (const [offset, record] of this.records) if (record.moveId === id) this.records.delete(offset);
  }

  cancelMove(id: number): void {
    this.moves.delete(id);
    for (const record of this.records.values()) {
      if (record.moveId !== id) continue;
      record.moveId = 0;
      record.state = record.reason ? 'dead' : 'waiting';
    }
  }

  stateOf(offset: number): OpenRun['state'] {
    const record = this.records.get(offset)!;
    if (record.taken) return 'taken';
    if (record.state !== 'waiting') return record.state;
    if (this.#isBehind(offset, record)) return 'behind';
    return record.availableAtMs > this.wallMs ? 'delayed' : 'ready';
  }

  /** All records, one run each. */
  open(): OpenRun[] {
    return this.#sorted().map((first) => {
      const { attempts, reason, text } = this.records.get(first)!;
      return { first, end: first + 1, attempts, state: this.stateOf(first), reason, text };
    });
  }

  #isBehind(offset: number, { keyHash }: NaiveRecord): boolean {
    if (keyHash === undefined) return false;
    return [...this.records].some(([other, record]) => other < offset && record.keyHash === keyHash);
  }

  #settle(
    grant: number,
    first: number,
    end: number,
    settle: (record: NaiveRecord, offset: number) => void,
  ): number {
    let missing = end - first;
    for (const [offset, record] of this.#range(first, end)) {
      if (record.state !== 'leased' || record.grant !== grant) continue;
      settle(record, offset);
      missing--;
    }
    return missing;
  }

  #again(record: NaiveRecord, delayMs: number | undefined, text: string): void {
    const { maxAttempts, backoffMs, maxBackoffMs } = this.settings;
    if (maxAttempts > 0 && record.attempts >= maxAttempts) die(record, 'max-attempts', text);
    else {
      const waitMs = delayMs ?? Math.min(maxBackoffMs, backoffMs * 2 ** (record.attempts - 1));
      const atMs = this.wallMs + waitMs;
      const pastGridMs = atMs % 100;
      retry(record, waitMs >= 1000 && pastGridMs > 0 ? atMs - pastGridMs + 100 : atMs);
    }
  }

  #sorted(): number[] {
    return [...this.records.keys()].sort((a, b) => a - b);
  }

  #range(first: number, end: number): [number, NaiveRecord][] {
    return this.#sorted()
      .filter((offset) => offset >= first && offset < end)
      .map((offset) => [offset, this.records.get(offset)!]);
  }
}

function retry(record: NaiveRecord, availableAtMs: number): void {
  Object.assign(record, { state: 'waiting', grant: 0, leaseMs: 0, availableAtMs });
}

function die(record: NaiveRecord, reason: DeadReason, text: string): void {
  Object.assign(record, { state: 'dead', grant: 0, leaseMs: 0, reason, text });
}

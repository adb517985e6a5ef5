import type { ICompare, IEvent, IKeyValue, IRequestOp } from 'etcd3';
import type { Clock, Timer } from '../../src/kernel/clock.ts';

interface Stored {
  readonly key: string;
  readonly value: Buffer;
  readonly createRevision: number;
  readonly modRevision: number;
  /** `0`: none. */
  readonly lease: string;
}

interface Lease {
  readonly ttlMs: number;
  readonly keys: Set<string>;
  expiry: Timer;
}

/** Result of a transaction, as the store of `src/coordination/etcd` gives it. */
export interface FakeOutcome {
  readonly succeeded: boolean;
  readonly revision: number;
  readonly found: readonly (readonly IKeyValue[])[];
  readonly deleted: number;
}

/** Told of the events of one revision. */
export type FakeWatcher = (events: readonly IEvent[], revision: number) => void;

/**
 * etcd itself: keys with revisions and leases, transactions, and a history that can be watched from any revision on.
 *
 * Everything happens at once and in order; how long messages take, and which are lost, is for {@link FakeEtcdStore} and its link.
 */
export class FakeEtcd {
  readonly #clock: Clock;
  readonly #keys = new Map<string, Stored>();
  readonly #leases = new Map<string, Lease>();
  readonly #watchers = new Set<FakeWatcher>();
  #history: { readonly revision: number; readonly events: readonly IEvent[] }[] = [];
  #revision = 1;
  #compacted = 0;
  #nextLease = 1;
  /** Set while a transaction is collecting its events. */
  #events: IEvent[] = [];

  /** @param clock etcd's own: leases end by it */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Of the last change. */
  get revision(): number {
    return this.#revision;
  }

  /** Everything below it can no longer be watched. */
  get compactedRevision(): number {
    return this.#compacted;
  }

  /** The value of a key now, as JSON; undefined when there is none. For tests. */
  json(key: string): unknown {
    const stored = this.#keys.get(key);
    return stored && (JSON.parse(stored.value.toString()) as unknown);
  }

  /** Revision of the last change of a key; 0 when there is none. For tests. */
  modRevision(key: string): number {
    return this.#keys.get(key)?.modRevision ?? 0;
  }

  range(key: Buffer, end?: Buffer): IKeyValue[] {
    const from = key.toString('latin1');
    if (end === undefined) {
      const stored = this.#keys.get(from);
      return stored ? [toKeyValue(stored)] : [];
    }
    const to = end.toString('latin1');
    return [...this.#keys.values()]
      .filter((stored) => stored.key >= from && stored.key < to)
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .map(toKeyValue);
  }

  transact(
    compare: readonly ICompare[],
    success: readonly IRequestOp[],
    failure: readonly IRequestOp[],
  ): FakeOutcome {
    const succeeded = compare.every((one) => this.#holds(one));
    const found: IKeyValue[][] = [];
    let deleted = 0;
    for (const operation of succeeded ? success : failure) {
      found.push(operation.request_range ? this.range(asBuffer(operation.request_range.key)) : []);
      if (operation.request_put) this.#put(operation.request_put);
      const range = operation.request_delete_range;
      if (range) deleted += this.#deleteRange(asBuffer(range.key), range.range_end);
    }
    this.#commit();
    return { succeeded, revision: this.#revision, found, deleted };
  }

  grant(ttlSeconds: number): string {
    const id = String(this.#nextLease++);
    const ttlMs = 1000 * ttlSeconds;
    this.#leases.set(id, { ttlMs, keys: new Set(), expiry: this.#armExpiry(id, ttlMs) });
    return id;
  }

  /** @returns false when there is no such lease any more */
  renew(id: string): boolean {
    const lease = this.#leases.get(id);
    if (!lease) return false;
    lease.expiry.cancel();
    lease.expiry = this.#armExpiry(id, lease.ttlMs);
    return true;
  }

  /** @returns false when there is no such lease any more */
  revoke(id: string): boolean {
    const lease = this.#leases.get(id);
    if (!lease) return false;
    this.#leases.delete(id);
    lease.expiry.cancel();
    for (const key of lease.keys) this.#delete(key);
    this.#commit();
    return true;
  }

  /** What happened from `revision` on. @throws RangeError when that is not known any more */
  since(revision: number): readonly { readonly revision: number; readonly events: readonly IEvent[] }[] {
    if (revision <= this.#compacted) throw new RangeError('compacted');
    return this.#history.filter((one) => one.revision >= revision);
  }

  /** Calls `watcher` with each change from now on, in order. @returns ends that */
  watch(watcher: FakeWatcher): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  /** No majority: no lease ends meanwhile. That nothing reaches it is for the link. */
  suspend(): void {
    for (const { expiry } of this.#leases.values()) expiry.cancel();
  }

  /** A new leader of etcd gives every lease its full time again. */
  resume(): void {
    for (const id of this.#leases.keys()) this.renew(id);
  }

  /** Forgets what happened up to now: watches that are behind have to read anew. */
  compact(): void {
    this.#compacted = this.#revision;
    this.#history = [];
  }

  #armExpiry(id: string, ttlMs: number): Timer {
    return this.#clock.setTimer(ttlMs, () => void this.revoke(id));
  }

  #holds({ key, target, mod_revision, create_revision, lease }: ICompare): boolean {
    const stored = this.#keys.get(asBuffer(key).toString('latin1'));
    if (mod_revision !== undefined) return (stored?.modRevision ?? 0) === Number(mod_revision);
    if (create_revision !== undefined) return (stored?.createRevision ?? 0) === Number(create_revision);
    if (lease !== undefined) return (stored?.lease ?? '0') === String(lease);
    throw new TypeError(`this comparison is not known here: ${String(target)}`);
  }

  #put(request: NonNullable<IRequestOp['request_put']>): void {
    const key = asBuffer(request.key).toString('latin1');
    const before = this.#keys.get(key);
    const lease = request.lease === undefined ? '0' : String(request.lease);
    if (before) this.#leases.get(before.lease)?.keys.delete(key);
    this.#leases.get(lease)?.keys.add(key);
    const revision = this.#revision + 1;
    const stored: Stored = {
      key,
      value: asBuffer(request.value),
      createRevision: before?.createRevision ?? revision,
      modRevision: revision,
      lease,
    };
    this.#keys.set(key, stored);
    this.#events.push({ type: 'Put', kv: toKeyValue(stored) } as IEvent);
  }

  #deleteRange(key: Buffer, end: unknown): number {
    const found = this.range(key, end === undefined ? undefined : asBuffer(end));
    for (const { key: one } of found) this.#delete(one.toString('latin1'));
    return found.length;
  }

  #delete(key: string): void {
    const stored = this.#keys.get(key);
    if (!stored) return;
    this.#keys.delete(key);
    this.#leases.get(stored.lease)?.keys.delete(key);
    const gone = { ...stored, value: Buffer.alloc(0), modRevision: this.#revision + 1, createRevision: 0 };
    this.#events.push({ type: 'Delete', kv: toKeyValue(gone) } as IEvent);
  }

  #commit(): void {
    if (this.#events.length === 0) return;
    const events = this.#events;
    this.#events = [];
    const revision = ++this.#revision;
    this.#history.push({ revision, events });
    for (const watcher of [...this.#watchers]) watcher(events, revision);
  }
}

function asBuffer(value: unknown): Buffer {
  return Buffer.isBuffer(value) ? value : Buffer.from(value as string);
}

function toKeyValue({ key, value, createRevision, modRevision, lease }: Stored): IKeyValue {
  return {
    key: Buffer.from(key, 'latin1'),
    value,
    create_revision: String(createRevision),
    mod_revision: String(modRevision),
    version: '1',
    lease,
  };
}

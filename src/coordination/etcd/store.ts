import type { ICompare, IKeyValue, IRequestOp } from 'etcd3';
import { CompareResult, CompareTarget, Etcd3, Range } from 'etcd3';
import type { Clock } from '../../kernel/clock.ts';
import { delay } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import type { EtcdAccess, EtcdTimes } from './client-options.ts';
import { clientOptions } from './client-options.ts';
import { etcdError, isPassing } from './etcd-error.ts';

/** Keys and values at one revision. */
export interface Reading {
  readonly keyValues: readonly IKeyValue[];
  readonly revision: number;
}

/** What became of a transaction. */
export interface Outcome {
  readonly succeeded: boolean;
  /** Of the store, right after it. */
  readonly revision: number;
  /** For each operation that was carried out: what a range found; empty for others. */
  readonly found: readonly (readonly IKeyValue[])[];
  /** Keys that were deleted. */
  readonly deleted: number;
}

const PAGE_KEYS = 1000;
const RETRY_MS = 50;
const RETRY_MAX_MS = 1000;

/**
 * etcd as the rest of this folder uses it: raw calls of `etcd3` with bounds of time and coded errors.
 *
 * There is a client for each endpoint. Calls stay with one as long as it answers; renewals of leases go to all of them in turn.
 */
export class EtcdStore implements Disposable {
  readonly clock: Clock;
  readonly times: EtcdTimes;
  /** All keys that begin with the cluster's prefix. */
  readonly range: { readonly key: Buffer; readonly range_end: Buffer };
  readonly #clients: readonly Etcd3[];
  /** Which client calls go to, and which the next watch and the next renewal. */
  readonly #next: { call: number; watch: number; renewal: number };
  #isClosed = false;

  /** Connects to nothing yet. @throws INVALID_CONFIG when what it is given cannot be used */
  constructor(access: EtcdAccess, prefix: string, clock: Clock, random: Random, times: EtcdTimes) {
    this.clock = clock;
    this.times = times;
    const { start, end } = Range.prefix(prefix);
    this.range = { key: start, range_end: end };
    // So that not all nodes begin with the first.
    const first = Math.floor(random.fraction() * access.endpoints.length);
    this.#next = { call: first, watch: first, renewal: first };
    try {
      this.#clients = access.endpoints.map(
        (endpoint) => new Etcd3(clientOptions(endpoint, access, clock, times)),
      );
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new SluiceError('INVALID_CONFIG', `cluster.etcd cannot be used: ${why}`, { cause });
    }
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The store's revision, as a majority of etcd has it. Also logs in again where etcd has forgotten that. */
  async headRevision(): Promise<number> {
    const { header } = await this.#call((client) =>
      client.kv.range({ key: this.range.key, limit: 1, keys_only: true }),
    );
    return Number(header.revision);
  }

  /** Reads all keys of the cluster, page by page, at one revision. */
  async readAll(): Promise<Reading> {
    const keyValues: IKeyValue[] = [];
    let { key } = this.range;
    let revision = 0;
    for (;;) {
      const page = { key, range_end: this.range.range_end, limit: PAGE_KEYS, revision };
      const { header, kvs, more } = await this.#call((client) => client.kv.range(page));
      if (revision === 0) revision = Number(header.revision);
      keyValues.push(...kvs);
      const last = kvs.at(-1);
      if (!more || !last) return { keyValues, revision };
      key = Buffer.concat([last.key, Buffer.of(0)]);
    }
  }

  /** Reads one key. */
  async read(key: string): Promise<IKeyValue | undefined> {
    const { kvs } = await this.#call((client) => client.kv.range({ key: Buffer.from(key) }));
    return kvs[0];
  }

  /** Carries out `success` if all of `compare` hold, else `failure`; as one. */
  async transact(
    compare: readonly ICompare[],
    success: readonly IRequestOp[],
    failure: readonly IRequestOp[] = [],
  ): Promise<Outcome> {
    const { header, succeeded, responses } = await this.#call((client) =>
      client.kv.txn({ compare: [...compare], success: [...success], failure: [...failure] }),
    );
    // The types say that each response has all four; it has the one that was asked for.
    const answers: readonly Partial<(typeof responses)[number]>[] = responses;
    return {
      succeeded,
      revision: Number(header.revision),
      found: answers.map(({ response_range }) => response_range?.kvs ?? []),
      deleted: answers.reduce((sum, one) => sum + Number(one.response_delete_range?.deleted ?? 0), 0),
    };
  }

  /** Watches all keys of the cluster: a stream that nothing has been written to, each time from another endpoint. */
  watch(): ReturnType<Etcd3['watchClient']['watch']> {
    return this.#client('watch').watchClient.watch();
  }

  /** A new lease. @param ttlSeconds whole seconds @returns its id */
  async grant(ttlSeconds: number): Promise<string> {
    return (await this.#call((client) => client.leaseClient.leaseGrant({ TTL: ttlSeconds }))).ID;
  }

  /** Renews a lease, each time through another endpoint. @returns `unknown` when nothing was heard in time */
  renew(leaseId: string, withinMs: number): Promise<'renewed' | 'over' | 'unknown'> {
    return new Promise((resolve) => {
      // The stream has its deadline; opening it has not.
      const timer = this.clock.setTimer(withinMs, () => resolve('unknown'));
      this.#client('renewal')
        .leaseClient.leaseKeepAlive({ deadline: this.clock.now() + withinMs })
        .then((stream) => {
          stream.on('data', ({ TTL }) => {
            resolve(TTL === '0' ? 'over' : 'renewed');
            stream.end();
          });
          stream.on('error', () => resolve('unknown'));
          stream.on('end', () => resolve('unknown'));
          stream.write({ ID: leaseId });
        })
        .catch(() => resolve('unknown'))
        .finally(() => timer.cancel());
    });
  }

  /** Ends a lease of a former time. */
  async revoke(leaseId: string): Promise<void> {
    await this.#call((client) => client.leaseClient.leaseRevoke({ ID: leaseId }));
  }

  /**
   * Repeats `attempt` while it fails for reasons that pass, for as long as a change may take. An attempt that failed may have gone well all the
   * same: nobody heard the answer.
   *
   * @throws what the last attempt threw, coded
   */
  async persist<T>(attempt: () => Promise<T>): Promise<T> {
    const deadline = this.clock.monotonicMs() + this.times.changeMs;
    for (let wait = RETRY_MS; ; wait = Math.min(2 * wait, RETRY_MAX_MS)) {
      try {
        return await attempt();
      } catch (cause) {
        const error = etcdError(cause);
        const isLate = this.clock.monotonicMs() + wait >= deadline;
        // What has no cause was said here, not by etcd: it stays so.
        if (!isPassing(error) || error.cause === undefined || isLate || this.#isClosed) throw error;
        await delay(this.clock, wait);
      }
    }
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    for (const client of this.#clients) client.close();
  }

  #client(purpose: 'watch' | 'renewal'): Etcd3 {
    const index = this.#next[purpose];
    this.#next[purpose] = (index + 1) % this.#clients.length;
    return this.#clients[index]!;
  }

  async #call<T>(call: (client: Etcd3) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new SluiceError('UNAVAILABLE', 'the coordinator is closed');
    const index = this.#next.call;
    try {
      return await call(this.#clients[index]!);
    } catch (cause) {
      const error = etcdError(cause);
      // Of many calls that fail together, one moves on to the next endpoint.
      if (isPassing(error) && this.#next.call === index) this.#next.call = (index + 1) % this.#clients.length;
      throw error;
    }
  }
}

/** Holds while the key's last change is that of `modRevision`; 0: while there is no such key. */
export function unchanged(key: string, modRevision: number): ICompare {
  return {
    key: Buffer.from(key),
    target: CompareTarget.Mod,
    result: CompareResult.Equal,
    mod_revision: modRevision,
  };
}

/** Holds while the key is the one that was created by `createRevision`. */
export function created(key: string, createRevision: number): ICompare {
  return {
    key: Buffer.from(key),
    target: CompareTarget.Create,
    result: CompareResult.Equal,
    create_revision: createRevision,
  };
}

/** Holds while the key is there and goes with this lease. */
export function leasedBy(key: string, leaseId: string): ICompare {
  return { key: Buffer.from(key), target: CompareTarget.Lease, result: CompareResult.Equal, lease: leaseId };
}

/** Writes a value. @param leaseId the key goes when this lease does; undefined: it stays */
export function put(key: string, value: Buffer, leaseId?: string): IRequestOp {
  const request = { key: Buffer.from(key), value };
  return { request_put: leaseId === undefined ? request : { ...request, lease: leaseId } };
}

/** Reads one key. */
export function get(key: string): IRequestOp {
  return { request_range: { key: Buffer.from(key) } };
}

/** Removes one key, if it is there. */
export function remove(key: string): IRequestOp {
  return { request_delete_range: { key: Buffer.from(key) } };
}

/** Removes all keys that begin with `prefix`. */
export function removeAll(prefix: string): IRequestOp {
  const { start, end } = Range.prefix(prefix);
  return { request_delete_range: { key: start, range_end: end } };
}

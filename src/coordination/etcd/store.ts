import type { ICompare, IKeyValue, IOptions, IRequestOp, Lease } from 'etcd3';
import { CompareResult, CompareTarget, Etcd3, EtcdError, Range } from 'etcd3';
import type { Clock } from '../../kernel/clock.ts';
import { delay } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import { etcdError, isPassing } from './etcd-error.ts';

/** Where etcd is and who this node is to it. */
export interface EtcdAccess {
  /** `http://host:port` or `https://host:port`; all of one kind. */
  readonly endpoints: readonly string[];
  /** Authorities that etcd's certificate is checked against, PEM. Needed with https. */
  readonly caPem?: string;
  /** Certificate and key of this node, PEM; both or none. */
  readonly certificatePem?: string;
  readonly keyPem?: string;
  readonly username?: string;
  readonly password?: string;
}

/** Bounds of time, milliseconds. */
export interface EtcdTimes {
  /** For one call. */
  readonly callMs: number;
  /** For a change with all its repetitions, and for being seen. */
  readonly changeMs: number;
}

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
/** How long a member of etcd that failed is left alone while there are others. */
const AVOID_MS = 1000;

/*
 * gRPC's own defaults are for services that are always there. Reconnecting is tried at once and at least every second (default: up to two
 * minutes apart, and calls fail meanwhile); a silent connection is noticed (default: never; etcd refuses pings less than 5 s apart); each
 * service has connections of its own, so that one that hangs is not taken again; messages may be larger than 4 MiB, since etcd packs up to
 * a thousand changes into one when a watch catches up.
 */
const CHANNEL = {
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.min_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 1000,
  'grpc.keepalive_time_ms': 6000,
  'grpc.keepalive_timeout_ms': 2000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.max_receive_message_length': 256 * 1024 * 1024,
};

type Policy = NonNullable<NonNullable<IOptions['faultHandling']>['global']>;
type CallOptions = NonNullable<Parameters<Etcd3['watchClient']['watch']>[0]>;
type Interceptor = NonNullable<CallOptions['interceptors']>[number];

/** etcd as the rest of this folder uses it: raw calls of `etcd3` with bounds of time and coded errors. */
export class EtcdStore implements Disposable {
  readonly clock: Clock;
  readonly times: EtcdTimes;
  /** All keys that begin with the cluster's prefix. */
  readonly range: { readonly key: Buffer; readonly range_end: Buffer };
  readonly #client: Etcd3;
  #isClosed = false;

  /** Connects to nothing yet. @throws INVALID_CONFIG when what it is given cannot be used */
  constructor(access: EtcdAccess, prefix: string, clock: Clock, times: EtcdTimes) {
    this.clock = clock;
    this.times = times;
    const { start, end } = Range.prefix(prefix);
    this.range = { key: start, range_end: end };
    try {
      this.#client = new Etcd3(clientOptions(access, clock, times));
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
    const { header } = await this.#call(() =>
      this.#client.kv.range({ key: this.range.key, limit: 1, keys_only: true }),
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
      const { header, kvs, more } = await this.#call(() => this.#client.kv.range(page));
      if (revision === 0) revision = Number(header.revision);
      keyValues.push(...kvs);
      const last = kvs.at(-1);
      if (!more || !last) return { keyValues, revision };
      key = Buffer.concat([last.key, Buffer.of(0)]);
    }
  }

  /** Reads one key. */
  async read(key: string): Promise<IKeyValue | undefined> {
    const { kvs } = await this.#call(() => this.#client.kv.range({ key: Buffer.from(key) }));
    return kvs[0];
  }

  /** Carries out `success` if all of `compare` hold, else `failure`; as one. */
  async transact(
    compare: readonly ICompare[],
    success: readonly IRequestOp[],
    failure: readonly IRequestOp[] = [],
  ): Promise<Outcome> {
    const { header, succeeded, responses } = await this.#call(() =>
      this.#client.kv.txn({ compare: [...compare], success: [...success], failure: [...failure] }),
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

  /** Watches all keys of the cluster: a stream that nothing has been written to. */
  watch(): ReturnType<Etcd3['watchClient']['watch']> {
    return this.#client.watchClient.watch();
  }

  /** Asks for a lease, which the caller keeps alive. @param ttlSeconds whole seconds */
  lease(ttlSeconds: number): Lease {
    return this.#client.lease(ttlSeconds, { autoKeepAlive: false });
  }

  /** Ends a lease of a former time. */
  async revoke(leaseId: string): Promise<void> {
    await this.#call(() => this.#client.leaseClient.leaseRevoke({ ID: leaseId }));
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
    this.#client.close();
  }

  async #call<T>(call: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new SluiceError('UNAVAILABLE', 'the coordinator is closed');
    try {
      return await call();
    } catch (cause) {
      throw etcdError(cause);
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

export function put(key: string, value: Buffer, leaseId?: string): IRequestOp {
  const request = { key: Buffer.from(key), value };
  return { request_put: leaseId === undefined ? request : { ...request, lease: leaseId } };
}

export function get(key: string): IRequestOp {
  return { request_range: { key: Buffer.from(key) } };
}

export function remove(key: string): IRequestOp {
  return { request_delete_range: { key: Buffer.from(key) } };
}

/** Removes all keys that begin with `prefix`. */
export function removeAll(prefix: string): IRequestOp {
  const { start, end } = Range.prefix(prefix);
  return { request_delete_range: { key: start, range_end: end } };
}

function clientOptions(access: EtcdAccess, clock: Clock, times: EtcdTimes): IOptions {
  const { endpoints, caPem, certificatePem, keyPem, username, password } = access;
  const credentials =
    caPem === undefined
      ? {}
      : {
          credentials: {
            rootCertificate: Buffer.from(caPem),
            ...(keyPem === undefined ? {} : { privateKey: Buffer.from(keyPem) }),
            ...(certificatePem === undefined ? {} : { certChain: Buffer.from(certificatePem) }),
          },
        };
  return {
    hosts: [...endpoints],
    ...credentials,
    ...(username === undefined ? {} : { auth: { username, password: password ?? '' } }),
    grpcOptions: CHANNEL,
    // Repeating is ours: only the caller knows what may be done twice.
    faultHandling: { global: plainPolicy(), host: () => hostPolicy(clock, endpoints.length > 1) },
    defaultCallOptions: ({ isStream }) =>
      isStream
        ? { interceptors: [requireLeader as unknown as Interceptor] }
        : { deadline: clock.now() + times.callMs },
  };
}

/**
 * Makes etcd end a stream when its member has lost the others, instead of leaving it open and silent.
 * @see etcd client/v3 WithRequireLeader
 */
function requireLeader(options: unknown, nextCall: (options: unknown) => StartedCall): StartedCall {
  const call = nextCall(options);
  const start = call.start.bind(call);
  call.start = (metadata, listener) => {
    metadata.set('hasleader', 'true');
    start(metadata, listener);
  };
  return call;
}

/** Of gRPC's call as much as is needed here. */
interface StartedCall {
  start(metadata: { set(key: string, value: string): void }, listener: unknown): void;
}

const noEvent = (): { dispose: () => void } => ({ dispose: () => undefined });

/** In the place of cockatiel's policies: does what it is asked, once. */
function plainPolicy(before: () => void = () => undefined, failed: () => void = () => undefined): Policy {
  const policy: Omit<Policy, '_altReturn'> = {
    onSuccess: noEvent,
    onFailure: noEvent,
    execute: async (work, signal = new AbortController().signal) => {
      before();
      try {
        return await work({ signal });
      } catch (error) {
        failed();
        throw error;
      }
    },
  };
  // What is left out is declared for the type checker only.
  return policy as Policy;
}

/** Leaves a member of etcd alone for a moment after a failure, if there are others; never the only one. */
function hostPolicy(clock: Clock, hasOthers: boolean): Policy {
  let avoidUntilMs = -Infinity;
  if (!hasOthers) return plainPolicy();
  return plainPolicy(
    () => {
      if (clock.monotonicMs() < avoidUntilMs) throw new EtcdError('this member failed a moment ago');
    },
    () => {
      avoidUntilMs = clock.monotonicMs() + AVOID_MS;
    },
  );
}

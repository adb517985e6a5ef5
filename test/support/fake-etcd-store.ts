import type { ICompare, IEvent, IKeyValue, IRequestOp } from 'etcd3';
import { EtcdLeaseInvalidError, GRPCDeadlineExceededError, GRPCUnavailableError } from 'etcd3';
import type { Clock } from '../../src/kernel/clock.ts';
import { etcdError } from '../../src/coordination/etcd/etcd-error.ts';
import type { Outcome, Reading } from '../../src/coordination/etcd/store.ts';
import { EtcdStore } from '../../src/coordination/etcd/store.ts';
import type { Random } from '../../src/kernel/random.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { FakeEtcd } from './fake-etcd.ts';

/** What lies between a node and etcd. What it does not bring is lost without a word. */
export interface EtcdLink {
  /** `false`: nobody answers there, and that is noticed at once. */
  readonly isUp: boolean;
  toEtcd(run: () => void): void;
  /** @param ordered as those before that were ordered: a watch */
  toNode(run: () => void, ordered: boolean): void;
  /** Told how to break each watch that is opened. @returns forgets it */
  onWatch(breakOff: () => void): () => void;
}

/** Brings everything in the same turn. */
export const INSTANT_LINK: EtcdLink = {
  isUp: true,
  toEtcd: (run) => queueMicrotask(run),
  toNode: (run) => queueMicrotask(run),
  onWatch: () => () => undefined,
};

/** What {@link FakeEtcdStore} needs. */
export interface FakeEtcdStoreOptions {
  readonly etcd: FakeEtcd;
  readonly link: EtcdLink;
  /** Key prefix of the cluster. */
  readonly prefix: string;
  /** That of the node. */
  readonly clock: Clock;
  readonly random: Random;
}

type WatchStream = Awaited<ReturnType<EtcdStore['watch']>>;

const TIMES = { callMs: 1000, changeMs: 5000 };

/** The store of `src/coordination/etcd` on a {@link FakeEtcd}: everything above it is the production code. */
export class FakeEtcdStore extends EtcdStore {
  readonly #etcd: FakeEtcd;
  readonly #link: EtcdLink;

  constructor({ etcd, link, prefix, clock, random }: FakeEtcdStoreOptions) {
    super({ endpoints: [] }, prefix, clock, random, TIMES);
    this.#etcd = etcd;
    this.#link = link;
  }

  override headRevision(): Promise<number> {
    return this.#ask(() => this.#etcd.revision);
  }

  override readAll(): Promise<Reading> {
    const { key, range_end: end } = this.range;
    return this.#ask(() => ({ keyValues: this.#etcd.range(key, end), revision: this.#etcd.revision }));
  }

  override read(key: string): Promise<IKeyValue | undefined> {
    return this.#ask(() => this.#etcd.range(Buffer.from(key))[0]);
  }

  override transact(
    compare: readonly ICompare[],
    success: readonly IRequestOp[],
    failure: readonly IRequestOp[] = [],
  ): Promise<Outcome> {
    return this.#ask(() => this.#etcd.transact(compare, success, failure));
  }

  override grant(ttlSeconds: number): Promise<string> {
    return this.#ask(() => this.#etcd.grant(ttlSeconds));
  }

  override renew(leaseId: string, withinMs: number): Promise<'renewed' | 'over' | 'unknown'> {
    return new Promise((resolve) => {
      const timer = this.clock.setTimer(withinMs, () => resolve('unknown'));
      this.#link.toEtcd(() => {
        const renewed = this.#etcd.renew(leaseId);
        this.#link.toNode(() => {
          timer.cancel();
          resolve(renewed ? 'renewed' : 'over');
        }, false);
      });
    });
  }

  override async revoke(leaseId: string): Promise<void> {
    const revoked = await this.#ask(() => this.#etcd.revoke(leaseId));
    // Raised here and not there, so that it is an error of the call.
    if (!revoked) throw etcdError(new EtcdLeaseInvalidError('requested lease not found'));
  }

  override watch(): ReturnType<EtcdStore['watch']> {
    const stream = new FakeWatch(this.#etcd, this.#link, this.range.key.toString('latin1'));
    return this.#link.isUp ? Promise.resolve(stream as unknown as WatchStream) : Promise.reject(refused());
  }

  /** A call: done there, or not, and answered in time, or not. */
  #ask<T>(effect: () => T): Promise<T> {
    if (this.isClosed) return Promise.reject(new SluiceError('UNAVAILABLE', 'the coordinator is closed'));
    if (!this.#link.isUp) return Promise.reject(refused());
    return new Promise((resolve, reject) => {
      const timer = this.clock.setTimer(this.times.callMs, () =>
        reject(etcdError(new GRPCDeadlineExceededError('deadline exceeded'))),
      );
      this.#link.toEtcd(() => {
        const answer = effect();
        this.#link.toNode(() => {
          timer.cancel();
          resolve(answer);
        }, false);
      });
    });
  }
}

function refused(): SluiceError {
  return etcdError(new GRPCUnavailableError('connection refused'));
}

interface WatchMessage {
  readonly created?: boolean;
  readonly canceled?: boolean;
  readonly cancel_reason?: string;
  readonly events: readonly IEvent[];
}

interface WatchRequest {
  readonly create_request?: { readonly start_revision: number };
  readonly progress_request?: object;
}

/** One watch over all keys with a prefix, as much of the stream of `etcd3` as is used. */
class FakeWatch {
  readonly #etcd: FakeEtcd;
  readonly #link: EtcdLink;
  readonly #prefix: string;
  readonly #listeners = new Map<string, (value: unknown) => void>();
  readonly #forget: () => void;
  #unwatch: (() => void) | undefined;
  #isOver = false;

  constructor(etcd: FakeEtcd, link: EtcdLink, prefix: string) {
    this.#etcd = etcd;
    this.#link = link;
    this.#prefix = prefix;
    this.#forget = link.onWatch(() => this.#break());
  }

  on(event: string, listener: (value: unknown) => void): this {
    this.#listeners.set(event, listener);
    return this;
  }

  write({ create_request: create }: WatchRequest): void {
    this.#link.toEtcd(() => {
      if (this.#isOver) return;
      if (create) this.#begin(create.start_revision);
      else this.#send({ events: [] });
    });
  }

  cancel(): void {
    this.#isOver = true;
    this.#unwatch?.();
    this.#forget();
  }

  #begin(from: number): void {
    if (from <= this.#etcd.compactedRevision) {
      this.#send({ canceled: true, cancel_reason: 'compacted', events: [] });
      return;
    }
    this.#send({ created: true, events: [] });
    for (const { events } of this.#etcd.since(from)) this.#sendEvents(events);
    this.#unwatch = this.#etcd.watch((events) => this.#sendEvents(events));
  }

  #sendEvents(events: readonly IEvent[]): void {
    const ours = events.filter(({ kv }) => kv.key.toString('latin1').startsWith(this.#prefix));
    if (ours.length > 0) this.#send({ events: ours });
  }

  #send(message: WatchMessage): void {
    this.#link.toNode(() => {
      if (!this.#isOver) this.#listeners.get('data')?.(message);
    }, true);
  }

  #break(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#unwatch?.();
    this.#listeners.get('error')?.(new GRPCUnavailableError('connection dropped'));
  }
}

import type { IWatchResponse } from 'etcd3';
import type { Timer } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import { etcdError } from './etcd-error.ts';
import type { EtcdStore } from './store.ts';
import type { View } from './view.ts';

/** Told how the watch fares; must not throw. */
export interface FeedObserver {
  /** The view stands still and is caught up later. Told once for each time. */
  onStalled(error: SluiceError): void;
  /** It moves again. @param reread changes were not to be had one by one any more, so that all keys were read again */
  onFlowing(reread: boolean): void;
}

type WatchStream = Awaited<ReturnType<EtcdStore['watch']>>;

const RETRY_MS = 50;
const RETRY_MAX_MS = 1000;
/** A change that is committed and not seen for so long means that the watch hangs. */
const UNSEEN_MS = 1000;

interface Waiter {
  readonly revision: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  readonly timer: Timer;
}

/**
 * Keeps the view going: one watch over all keys, from the last change that was seen.
 *
 *     read all ──> watch from revision + 1 ──(stream ends, hangs, fails)──> watch from the last change seen + 1
 *        ^                    │
 *        └── compacted, cancelled, or etcd is younger than the view (restored) ──┘
 *
 * The watch is a raw stream of `etcd3`. Its Watcher takes up again behind changes it has not delivered (docs/adr/0007).
 */
export class ViewFeed implements AsyncDisposable {
  readonly #store: EtcdStore;
  readonly #view: View;
  readonly #observer: FeedObserver;
  readonly #probeMs: number;
  readonly #waiters = new Set<Waiter>();
  #isReadNeeded = false;
  #isStalled = false;
  #isClosed = false;
  /** Gives up the watch that hangs. */
  #break: (() => void) | undefined;
  /** Ends whatever is being waited for, because of disposal. */
  #interrupt: (() => void) | undefined;
  #running: Promise<void> | undefined;

  /** @param probeMs a watch that says nothing is asked for a sign of life this often, and given up after three times as long */
  constructor(store: EtcdStore, view: View, observer: FeedObserver, probeMs: number) {
    this.#store = store;
    this.#view = view;
    this.#observer = observer;
    this.#probeMs = probeMs;
  }

  /** Reads everything once and watches from there. @throws coded, when etcd cannot be read */
  async start(): Promise<void> {
    await this.#read();
    this.#running = this.#run();
  }

  /**
   * Resolves once the view has everything up to and with `revision`.
   * @throws TIMEOUT when it does not in the time of a change: the change is stored, and will be seen
   */
  seen(revision: number): Promise<void> {
    if (this.#view.revision >= revision) return Promise.resolve();
    const { clock, times } = this.#store;
    const unseen = clock.setTimer(UNSEEN_MS, () => this.#break?.());
    return new Promise<void>((resolve, reject) => {
      const timer = clock.setTimer(times.changeMs, () => {
        this.#waiters.delete(waiter);
        reject(new SluiceError('TIMEOUT', 'the change is stored, but this node has not seen it yet'));
      });
      const waiter: Waiter = { revision, resolve, reject, timer };
      this.#waiters.add(waiter);
    }).finally(() => unseen.cancel());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#interrupt?.();
    await this.#running;
    for (const { timer, reject } of this.#waiters) {
      timer.cancel();
      reject(new SluiceError('UNAVAILABLE', 'the coordinator is closed'));
    }
    this.#waiters.clear();
  }

  async #run(): Promise<void> {
    let wait = RETRY_MS;
    while (!this.#isClosed) {
      const before = this.#view.revision;
      const error = await this.#watchOnce().catch((cause: unknown) => etcdError(cause));
      if (this.#isOver()) return;
      if (!this.#isStalled) this.#observer.onStalled(error);
      this.#isStalled = true;
      wait = this.#view.revision > before ? RETRY_MS : Math.min(2 * wait, RETRY_MAX_MS);
      await this.#pause(wait);
    }
  }

  /** A method, since it changes while something is awaited. */
  #isOver(): boolean {
    return this.#isClosed;
  }

  /** @returns why the watch ended */
  async #watchOnce(): Promise<SluiceError> {
    // An ordinary call first: streams do not log in again, and cannot tell that etcd was set back.
    if ((await this.#store.headRevision()) < this.#view.revision) this.#isReadNeeded = true;
    const isRead = this.#isReadNeeded;
    if (isRead) await this.#read();
    const stream = await this.#openStream();
    const ended = Promise.withResolvers<SluiceError>();
    const broken = (why: string): void => ended.resolve(new SluiceError('UNAVAILABLE', why));
    const life = this.#watchLife(stream, () => broken('the watch does not answer'));
    this.#break = () => broken('the watch is behind');
    this.#interrupt = () => broken('the coordinator is closed');
    if (this.#isClosed) this.#interrupt();
    let isWanted = true;
    stream.on('data', (message) => {
      if (!isWanted) return;
      life.sign();
      if (message.created && !message.canceled) this.#flow(isRead);
      const cancelled = this.#take(message);
      if (cancelled) ended.resolve(cancelled);
    });
    stream.on('error', (error) => ended.resolve(etcdError(error)));
    stream.on('end', () => broken('etcd ended the watch'));
    stream.write({
      create_request: {
        ...this.#store.range,
        start_revision: this.#view.revision + 1,
        progress_notify: true,
      },
    });
    const error = await ended.promise;
    // What it still brings is not taken: the next one begins behind what was.
    isWanted = false;
    this.#break = undefined;
    life.end();
    stream.cancel();
    return error;
  }

  #flow(isRead: boolean): void {
    if (!this.#isStalled) return;
    this.#isStalled = false;
    this.#observer.onFlowing(isRead);
  }

  /** @throws TIMEOUT; what opens after that is cancelled */
  #openStream(): Promise<WatchStream> {
    const { clock, times } = this.#store;
    return new Promise((resolve, reject) => {
      let isLate = false;
      const giveUp = (): void => {
        isLate = true;
        reject(new SluiceError('TIMEOUT', 'no watch could be opened'));
      };
      const timer = clock.setTimer(times.callMs, giveUp);
      this.#interrupt = giveUp;
      this.#store
        .watch()
        .then((stream) => {
          if (!isLate) {
            resolve(stream);
            return;
          }
          stream.on('error', () => undefined);
          stream.cancel();
        }, reject)
        .finally(() => timer.cancel());
    });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#store.clock.setTimer(ms, resolve);
      this.#interrupt = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  /** Asks for signs of life, and calls `dead` after too long without. */
  #watchLife(stream: WatchStream, dead: () => void): { sign: () => void; end: () => void } {
    const { clock } = this.#store;
    let lastSignMs = clock.monotonicMs();
    let timer: Timer;
    const arm = (): void => {
      timer = clock.setTimer(this.#probeMs, () => {
        const silentMs = clock.monotonicMs() - lastSignMs;
        if (silentMs >= 3 * this.#probeMs) {
          dead();
          return;
        }
        if (silentMs >= this.#probeMs / 2) stream.write({ progress_request: {} });
        arm();
      });
    };
    arm();
    return {
      sign: () => void (lastSignMs = clock.monotonicMs()),
      end: () => timer.cancel(),
    };
  }

  /** @returns why no more will come, if so */
  #take(message: IWatchResponse): SluiceError | undefined {
    if (message.canceled) {
      // Compacted, or not permitted: either way reading says what is the matter.
      this.#isReadNeeded = true;
      return new SluiceError(
        'UNAVAILABLE',
        `etcd cancelled the watch: ${message.cancel_reason || 'compacted'}`,
      );
    }
    this.#view.apply(message.events);
    this.#resolveSeen();
    return undefined;
  }

  async #read(): Promise<void> {
    const { keyValues, revision } = await this.#store.readAll();
    this.#view.replace(keyValues, revision);
    this.#isReadNeeded = false;
    this.#resolveSeen();
  }

  #resolveSeen(): void {
    for (const waiter of this.#waiters) {
      if (waiter.revision > this.#view.revision) continue;
      this.#waiters.delete(waiter);
      waiter.timer.cancel();
      waiter.resolve();
    }
  }
}

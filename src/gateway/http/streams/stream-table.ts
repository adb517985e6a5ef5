import type { Clock, Timer } from '../../../kernel/clock.ts';
import { SluiceError } from '../../../kernel/errors.ts';
import { clientHost } from '../../../security/client-host.ts';
import type { LiveStream } from './live-stream.ts';
import type { StreamLimits } from './stream-limits.ts';

const TICK_MS = 1000;

/** Streams that are open or being opened, bounded, and looked at once a second. */
export class StreamTable {
  readonly #clock: Clock;
  readonly #limits: StreamLimits;
  readonly #streams = new Set<LiveStream>();
  readonly #byHost = new Map<string, number>();
  #timer: Timer | undefined;
  #isClosing = false;

  constructor(clock: Clock, limits: StreamLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  get size(): number {
    return this.#streams.size;
  }

  /** @throws OVERLOADED when there are too many, or too many of one place; DRAINING */
  checkRoom(remoteAddress: string): void {
    const { maxStreams, maxStreamsPerHost } = this.#limits;
    if (this.#isClosing) throw draining();
    if (this.#streams.size >= maxStreams)
      throw new SluiceError('OVERLOADED', `${maxStreams} streams are open`);
    if ((this.#byHost.get(clientHost(remoteAddress)) ?? 0) < maxStreamsPerHost) return;
    throw new SluiceError('OVERLOADED', `${maxStreamsPerHost} streams of this address are open`);
  }

  /** Looks after a stream until it is closed. */
  add(stream: LiveStream): void {
    const host = clientHost(stream.remoteAddress);
    this.#streams.add(stream);
    this.#byHost.set(host, (this.#byHost.get(host) ?? 0) + 1);
    this.#arm();
    void stream.closed.then(() => {
      this.#streams.delete(stream);
      const left = this.#byHost.get(host)! - 1;
      if (left > 0) this.#byHost.set(host, left);
      else this.#byHost.delete(host);
    });
  }

  /** Ends all with DRAINING, takes no more, and waits until what they held is given back. Idempotent. */
  async close(): Promise<void> {
    this.#isClosing = true;
    const streams = [...this.#streams];
    for (const stream of streams) stream.end(draining());
    await Promise.all(streams.map(({ closed }) => closed));
    this.#timer?.cancel();
  }

  #arm(): void {
    if (this.#timer || this.#streams.size === 0) return;
    this.#timer = this.#clock.setTimer(TICK_MS, () => {
      this.#timer = undefined;
      for (const stream of this.#streams) stream.tick();
      this.#arm();
    });
  }
}

function draining(): SluiceError {
  return new SluiceError('DRAINING', 'this node is going; connect again');
}

import type { ErrorCode } from '../../src/kernel/errors.ts';
import { SluiceError, asSluiceError } from '../../src/kernel/errors.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import type { EventQueue } from './event-queue.ts';
import type { Machine } from './machine.ts';

/** How messages fare when nothing is cut. */
export interface NetworkWeather {
  /** Share of messages that are lost. */
  lossShare: number;
  /** Share of messages that take up to {@link slowMs}. */
  slowShare: number;
  slowMs: number;
}

const CALM: NetworkWeather = { lossShare: 0, slowShare: 0.02, slowMs: 20 };
/** How soon a caller is told that nobody listens there. */
const REFUSED_MS = 5;

/** One direction of a connection: what is sent on it arrives in order, and nothing behind what was lost. */
export class Lane {
  isStuck = false;
  lastArrivalMs = 0;
}

/** A connection for calls. */
export class CallLanes {
  readonly requests = new Lane();
  readonly answers = new Lane();
}

/** Messages between machines: each on its own, late, lost, or in another order than they were sent. */
export class Network {
  weather: NetworkWeather = CALM;
  readonly #events: EventQueue;
  readonly #random: SeededRandom;
  /** `from>to` of machines that cannot reach each other this way. */
  readonly #cuts = new Set<string>();
  readonly #closed = new Set<string>();

  constructor(events: EventQueue, random: SeededRandom) {
    this.#events = events;
    this.#random = random;
  }

  /** Nothing comes from one to the other any more; the way back stays. */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`);
  }

  isCut(from: string, to: string): boolean {
    if (this.#cuts.size === 0 && this.#closed.size === 0) return false;
    return this.#cuts.has(`${from}>${to}`) || this.#closed.has(from) || this.#closed.has(to);
  }

  /** Ends the cuts of a pair, both ways. */
  join(one: string, other: string): void {
    this.#cuts.delete(`${one}>${other}`);
    this.#cuts.delete(`${other}>${one}`);
  }

  /** Nothing comes to or from it. */
  close(name: string): void {
    this.#closed.add(name);
  }

  reopen(name: string): void {
    this.#closed.delete(name);
  }

  calm(): void {
    this.weather = CALM;
  }

  /** Everything reaches everybody again. */
  heal(): void {
    this.#cuts.clear();
    this.calm();
  }

  /** How long the next message takes, milliseconds. */
  delayMs(): number {
    const { slowShare, slowMs } = this.weather;
    const usual = 0.5 + this.#random.fraction();
    return this.#random.chance(slowShare) ? usual + this.#random.fraction() * slowMs : usual;
  }

  /** Whether a message from one to the other is lost now. */
  isLost(from: string, to: string): boolean {
    return (
      this.isCut(from, to) || (this.weather.lossShare > 0 && this.#random.chance(this.weather.lossShare))
    );
  }

  /**
   * Sends a message: `run` happens to the other machine, later, if it gets there and there is the same process.
   * @param lane undefined: in no order
   */
  send(from: Machine, to: Machine, run: () => void, lane?: Lane): void {
    if (this.isLost(from.name, to.name)) {
      if (lane) lane.isStuck = true;
      return;
    }
    to.post(lane ? this.#inOrder(lane) : this.delayMs(), () => {
      if (lane && this.isCut(from.name, to.name)) lane.isStuck = true;
      if (lane?.isStuck !== true && !this.isCut(from.name, to.name)) run();
    });
  }

  /**
   * Asks another machine; what it does may have happened although nobody heard the answer.
   * @param lanes undefined: calls and answers in any order
   * @throws UNAVAILABLE, TIMEOUT, and what `effect` throws
   */
  call<T>(
    from: Machine,
    to: Machine,
    timeoutMs: number,
    effect: () => T | Promise<T>,
    lanes?: CallLanes,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const fail = (code: ErrorCode): void => reject(new SluiceError(code, `${to.name} does not answer`));
      if (!to.isUp) {
        from.clock.setTimer(REFUSED_MS, () => fail('UNAVAILABLE'));
        return;
      }
      const timer = from.clock.setTimer(timeoutMs, () => fail('TIMEOUT'));
      const answer = (tell: () => void): void => {
        const arrive = (): void => {
          timer.cancel();
          tell();
        };
        this.send(to, from, arrive, lanes?.answers);
      };
      const ask = (): void => {
        Promise.resolve()
          .then(effect)
          .then(
            (value) => answer(() => resolve(value)),
            (error: unknown) => answer(() => reject(asSluiceError(error))),
          );
      };
      this.send(from, to, ask, lanes?.requests);
    });
  }

  /** Milliseconds from now at which the next message of a lane arrives. */
  #inOrder(lane: Lane): number {
    const nowMs = this.#events.nowMs;
    lane.lastArrivalMs = Math.max(lane.lastArrivalMs, nowMs + this.delayMs());
    return lane.lastArrivalMs - nowMs;
  }
}

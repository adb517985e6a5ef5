import type { Clock } from '../kernel/clock.ts';
import type { Pump, TurnAccount } from './turn-account.ts';

/** Turns after which other work of the process gets its chance, so that 10,000 woken streams do not hold up a publisher. */
const TURNS_PER_PASS = 256;
/** Time after which it gets it, however few turns that were; a turn that has begun is not cut short. */
const PASS_MS = 4;

/** Accounts in the order in which they have their turns. */
class Round {
  #accounts: TurnAccount[] = [];
  #head = 0;

  get isEmpty(): boolean {
    return this.#head === this.#accounts.length;
  }

  push(account: TurnAccount): void {
    this.#accounts.push(account);
  }

  shift(): TurnAccount | undefined {
    const account = this.#accounts[this.#head];
    if (account === undefined) return undefined;
    this.#head += 1;
    // Without moving the rest each time.
    if (this.#head > 1024 && this.#head * 2 > this.#accounts.length) {
      this.#accounts.splice(0, this.#head);
      this.#head = 0;
    } else if (this.isEmpty) {
      this.#accounts.length = 0;
      this.#head = 0;
    }
    return account;
  }
}

/**
 * Gives pumps their turns: all that were woken in one tick run in one pass, connection by connection, those of a connection in the order they were woken.
 *
 *     wake ─> quiet ─┬─ end of this tick ─> pass of up to 256 turns or 4 ms ─ more left ─> next turn of the event loop ─> pass …
 *             busy ──┘ behind them
 *
 * The first pass is a microtask, because latency matters; further passes let sockets be read in between, so that a
 * backlog of many subscribers never keeps the process from hearing publishers. Pumps that wake each other from microtask to
 * microtask get no more time than one pass before that: what passes in microtasks have spent is added up.
 *
 * A connection that has used much time lately comes after those that have not, and has one turn in each turn of the event loop at least. Busy ones share what
 * is left evenly, however many subscriptions each has: one that asks for much slows down itself, and others like it.
 */
export class PumpScheduler {
  readonly #clock: Clock;
  readonly #quiet = new Round();
  readonly #busy = new Round();
  #waitingCount = 0;
  #armed = false;
  /** Time spent in passes since the last one that came with a turn of the event loop. */
  #spentMs = 0;
  #endsMs = 0;
  readonly #soon = (): void => this.#pass();
  readonly #later = (): void => {
    this.#spentMs = 0;
    this.#overdue = !this.#busy.isEmpty;
    this.#pass();
  };
  /** A busy connection is to have its turn in this pass, whatever quiet ones want. */
  #overdue = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Pumps that wait for a turn. */
  get waitingCount(): number {
    return this.#waitingCount;
  }

  /** Whether the pass at hand has used up its time: a pump that could go on asks for another turn instead. */
  get late(): boolean {
    return this.#clock.monotonicMs() >= this.#endsMs;
  }

  /** Asks for a turn. Idempotent until the turn has come. */
  wake(pump: Pump): void {
    if (pump.scheduled) return;
    pump.scheduled = true;
    const { account } = pump;
    account.push(pump);
    this.#waitingCount += 1;
    this.#line(account);
    if (this.#armed) return;
    this.#armed = true;
    if (this.#spentMs < PASS_MS) queueMicrotask(this.#soon);
    else setImmediate(this.#later);
  }

  #line(account: TurnAccount): void {
    if (account.inLine || account.waitingCount === 0) return;
    account.inLine = true;
    const isBusy = account.wasBusy && account.isBusy(this.#clock.monotonicMs());
    (isBusy ? this.#busy : this.#quiet).push(account);
  }

  #pass(): void {
    const startedMs = this.#clock.monotonicMs();
    this.#endsMs = startedMs + PASS_MS - this.#spentMs;
    let turns = Math.min(this.#waitingCount, TURNS_PER_PASS);
    let nowMs = startedMs;
    do {
      nowMs = this.#turn(this.#next(nowMs), nowMs);
      turns -= 1;
    } while (turns > 0 && nowMs < this.#endsMs);
    if (this.#overdue) {
      this.#overdue = false;
      const account = this.#busy.shift();
      if (account) nowMs = this.#turn(account, nowMs);
    }
    this.#spentMs += nowMs - startedMs;
    if (this.#waitingCount === 0) this.#armed = false;
    else setImmediate(this.#later);
  }

  /** Whose turn it is; somebody waits. */
  #next(nowMs: number): TurnAccount {
    for (let account = this.#quiet.shift(); account; account = this.#quiet.shift()) {
      // It may have become busy while it waited.
      if (!account.isBusy(nowMs)) return account;
      this.#busy.push(account);
    }
    this.#overdue = false;
    return this.#busy.shift()!;
  }

  /** @returns the time after it */
  #turn(account: TurnAccount, startedMs: number): number {
    account.inLine = false;
    const pump = account.shift();
    this.#waitingCount -= 1;
    pump.scheduled = false;
    const wantsMore = pump.pump();
    const nowMs = this.#clock.monotonicMs();
    account.charge(nowMs - startedMs, nowMs);
    if (wantsMore) this.wake(pump);
    this.#line(account);
    return nowMs;
  }
}

import { SettlementKind } from '../../../gen/sluice/client/v1/groups_pb.ts';
import type { LeasedBatch } from '../../../gen/sluice/client/v1/groups_pb.ts';
import type { GroupAnswer } from '../../../groups/api.ts';
import { Backoff } from '../../../kernel/backoff.ts';
import { asSluiceError } from '../../../kernel/errors.ts';
import type { Pump, TurnAccount } from '../../turn-account.ts';
import { recordJson } from '../../../wire/record-json.ts';
import type { ClientMessage } from './client-message.ts';
import type { Feed, FeedHost, Refused } from './feed.ts';
import type { LeasedRecord } from './held-lease.ts';
import { HeldLease } from './held-lease.ts';
import { ordersOf, QueueSettlements } from './queue-settlements.ts';
import { TURN_BYTES } from './stream-limits.ts';
import type { QueueStreamRequest } from './stream-request.ts';

const DEFAULT_CREDIT = 100;
const RECEIVE_MAX_BYTES = 256 * 1024;
const RECEIVE_WAIT_MS = 30_000;
const RETRY = { minMs: 100, maxMs: 5_000 };
/** How long closing waits for the coordinator; the end of the leases does the rest. */
const FAREWELL_MS = 2_000;
/** Records between looks at the clock. */
const RECORDS_PER_STEP = 64;

/**
 * A stream of leased records of a queue.
 *
 *     receive ── credit less what is leased ──> held ── while the outlet is writable ──> client ── ack, nack … ──> settle
 *
 * A client that does not read, or does not settle, has no more leased for it than its credit.
 */
export class QueueFeed implements Feed, Pump {
  scheduled = false;
  readonly account: TurnAccount;
  readonly #host: FeedHost;
  readonly #request: QueueStreamRequest;
  readonly #settlements: QueueSettlements;
  readonly #abort = new AbortController();
  readonly #backoff: Backoff;
  /** Tokens that the client has and has not settled, and when their leases end. */
  readonly #leased = new Map<string, number>();
  #held: HeldLease[] = [];
  #credit: number;
  /** What the last lease lasted. */
  #leaseMs = 0;
  #isAsking = false;
  #isOver = false;

  constructor(host: FeedHost, request: QueueStreamRequest) {
    this.#host = host;
    this.#request = request;
    this.account = host.account;
    this.#backoff = new Backoff(RETRY, host.context.random);
    this.#credit = Math.min(request.credit ?? DEFAULT_CREDIT, host.context.limits.maxCredit);
    const { topic, group } = request;
    this.#settlements = new QueueSettlements(async (settlements) => {
      const question = { topic, group, settlements };
      const { results } = await host.context.broker.groups.ask(host.principal, 'settle', question);
      return results;
    });
  }

  /** Asks for the first records, so that who may not have them hears of it at once. */
  async open(): Promise<Readonly<Record<string, unknown>>> {
    const { topic, group } = this.#request;
    if (this.#credit > 0) {
      this.#isAsking = true;
      this.#take(await this.#receive(this.#credit, 0));
      this.#isAsking = false;
    }
    return { topic, queue: group, credit: this.#credit };
  }

  wake(): void {
    if (!this.#isOver) this.#host.context.scheduler.wake(this);
  }

  /** A lease that has ended makes room for another. */
  tick(): void {
    const nowMs = this.#host.context.clock.monotonicMs();
    for (const [token, endsMs] of this.#leased) if (endsMs <= nowMs) this.#leased.delete(token);
    this.wake();
  }

  position(): undefined {
    return undefined;
  }

  async take(message: ClientMessage): Promise<readonly Refused[]> {
    const { ack = [], commit, credit } = message;
    if (credit !== undefined)
      this.#credit = Math.min(this.#credit + credit, this.#host.context.limits.maxCredit);
    const strange = [...ack.filter((one) => typeof one !== 'string'), ...(commit ? [commit] : [])];
    const refused: Refused[] = strange.map((of) => ({
      ...{
        of,
        code: 'INVALID_ARGUMENT',
        message: 'a queue takes tokens, a group takes { partition, offset }',
      },
    }));
    const orders = ordersOf(
      message,
      ack.filter((one) => typeof one === 'string'),
    );
    const outcomes = await Promise.all(orders.map((order) => this.#settlements.settle(order)));
    orders.forEach(({ kind, tokens, delayMs }, index) => {
      const kept = new Set(
        outcomes[index]!.filter(({ code }) => code !== 'LEASE_EXPIRED').map(({ of }) => of),
      );
      for (const token of tokens) if (!kept.has(token)) this.#settled(token, kind, delayMs);
    });
    this.wake();
    return [...refused, ...outcomes.flat()];
  }

  pump(): boolean {
    try {
      return this.#turn();
    } catch (error) {
      this.#host.end(asSluiceError(error));
      return false;
    } finally {
      this.#held[0]?.rest();
    }
  }

  async close(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#abort.abort();
    const held = this.#held;
    this.#held = [];
    for (const lease of held) lease.release();
    await this.#release(
      held.map(({ batch }) => batch),
      [...this.#leased.keys()],
    );
  }

  #turn(): boolean {
    const { context, outlet } = this.#host;
    let budget = TURN_BYTES;
    while (!this.#isOver && outlet.writable) {
      const held = this.#held[0];
      if (!held) {
        this.#ask();
        return false;
      }
      budget -= this.#write(held);
      if (budget <= 0 || context.scheduler.late) return true;
    }
    return false;
  }

  /** Some of the records at hand. @returns bytes */
  #write(held: HeldLease): number {
    const { outlet, context } = this.#host;
    const { topic, encoding } = this.#request;
    const { partition } = held.batch;
    let bytes = 0;
    for (let count = 0; count < RECORDS_PER_STEP && outlet.writable; count++) {
      const leased = context.clock.monotonicMs() < held.endsMs ? this.#next(held) : undefined;
      if (!leased) {
        held.release();
        this.#held.shift();
        break;
      }
      const { record, token, attempt } = leased;
      this.#leased.set(token, held.endsMs);
      bytes += outlet.record(recordJson(record, { topic, partition }, encoding, { token, attempt }), NO_ID);
      context.counters.records += 1;
    }
    return bytes;
  }

  /** Records that cannot be read are rejected. */
  #next(held: HeldLease): LeasedRecord | undefined {
    try {
      return held.next();
    } catch (error) {
      const { context, principal } = this.#host;
      const { topic, group } = this.#request;
      const settlements = held.rejections(error);
      // Where they cannot be settled their leases run out.
      context.broker.groups.ask(principal, 'settle', { topic, group, settlements }).catch(() => undefined);
      return undefined;
    }
  }

  /** Asks for as many records as the client has room for. */
  #ask(): void {
    const room = this.#credit - this.#leased.size;
    if (this.#isAsking || room <= 0) return;
    this.#isAsking = true;
    this.#receive(room, RECEIVE_WAIT_MS).then(
      (answer) => {
        this.#isAsking = false;
        this.#backoff.reset();
        this.#take(answer);
        this.wake();
      },
      (error: unknown) => this.#failed(error),
    );
  }

  #receive(room: number, maxWaitMs: number): Promise<GroupAnswer<'receive'>> {
    const { topic, group, consumer: consumerId, leaseMs } = this.#request;
    const { context, principal } = this.#host;
    const question = {
      ...{ topic, group, consumerId, leaseMs, maxWaitMs },
      maxRecords: room,
      maxBytes: RECEIVE_MAX_BYTES,
    };
    return context.broker.groups.ask(principal, 'receive', question, { signal: this.#abort.signal });
  }

  #failed(cause: unknown): void {
    const error = asSluiceError(cause);
    if (this.#isOver) return;
    if (!error.retryable || error.code === 'DRAINING') {
      this.#host.end(error);
      return;
    }
    this.#host.context.clock.setTimer(this.#backoff.nextMs(), () => {
      this.#isAsking = false;
      this.wake();
    });
  }

  #take({ batches, gaps }: GroupAnswer<'receive'>): void {
    if (this.#isOver) {
      void this.#release(batches, []);
      return;
    }
    const { context, outlet } = this.#host;
    const { inflated, clock, limits } = context;
    const nowMs = clock.monotonicMs();
    for (const { partition, from, to } of gaps)
      outlet.notice('gap', {
        topic: this.#request.topic,
        partition,
        from: Number(from),
        to: Number(to),
        reason: 'retention',
      });
    const bounds = { inflated, maxInflatedBytes: limits.maxInflatedBytes };
    for (const batch of batches) {
      this.#leaseMs = batch.leaseMs;
      this.#held.push(new HeldLease(batch, bounds, nowMs));
    }
  }

  #settled(token: string, kind: SettlementKind, delayMs: number | undefined): void {
    if (!this.#leased.has(token)) return;
    if (kind !== SettlementKind.EXTEND) this.#leased.delete(token);
    else this.#leased.set(token, this.#host.context.clock.monotonicMs() + (delayMs ?? this.#leaseMs));
  }

  /** Gives leased records back: those of whole batches, and those of tokens. */
  async #release(batches: readonly LeasedBatch[], tokens: readonly string[]): Promise<void> {
    const { topic, group } = this.#request;
    const kind = SettlementKind.RELEASE;
    const settlements = batches.flatMap(({ partition, grant, leases }) =>
      leases.map(({ first, end }) => ({ partition, grant, first, end, kind })),
    );
    const { context, principal } = this.#host;
    const work: Promise<unknown>[] = [];
    if (settlements.length > 0)
      work.push(context.broker.groups.ask(principal, 'settle', { topic, group, settlements }));
    if (tokens.length > 0) work.push(this.#settlements.settle({ kind, tokens }));
    await Promise.race([
      Promise.allSettled(work),
      new Promise<void>((resolve) => {
        context.clock.setTimer(FAREWELL_MS, resolve);
      }),
    ]);
  }
}

const NO_ID = (): string => '';

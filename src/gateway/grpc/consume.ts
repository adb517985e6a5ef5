import type { MessageInitShape } from '@bufbuild/protobuf';
import { SettlementKind } from '../../gen/sluice/client/v1/groups_pb.ts';
import type { ConsumeRequest, ConsumeResponseSchema } from '../../gen/sluice/messages/v1/messages_pb.ts';
import type { GroupAnswer } from '../../groups/api.ts';
import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import { decodeLeaseToken } from '../../wire/lease-token.ts';
import { rejectUnreadable } from '../unreadable-records.ts';
import type { MessageContext } from './message-context.ts';
import { LeaseCredit, leaseKey } from './lease-ledger.ts';
import type { LeasedMessage } from './leased-messages.ts';
import { leasedMessages } from './leased-messages.ts';
import type { QueueRoute } from './lease-settler.ts';
import { groupOf, routeOf } from './settle.ts';
import type { Caller, CallTerms } from './ports.ts';

/** Messages asked for at once. */
const RECEIVE_MAX_MESSAGES = 1_000;
/** Of batches that are inflated at once for a call, bytes; one more than reaches it. A few kilobytes may be 16 MiB then. */
const HELD_MAX_BYTES = 1024 * 1024;
/** A coordinator is asked to wait so long at a time, milliseconds. */
const RECEIVE_MAX_WAIT_MS = 20_000;
/** Bytes of one response, unless a single message is larger. */
const RESPONSE_MAX_BYTES = 64 * 1024;
const DEFAULT_CREDIT = 1_000;
const CREDIT_MAX = 10_000;
/** So long before its deadline a call ends by itself, milliseconds: what it had is not lost in a DEADLINE_EXCEEDED; */
const END_BEFORE_MS = 250;
/** but at most this part of the time it has. */
const END_BEFORE_PART = 0.1;

/** What a call of Consume answers with. */
export type ConsumeAnswer = MessageInitShape<typeof ConsumeResponseSchema>;

/** Where the messages of a consuming call go. */
export interface ConsumeSink {
  /** Resolves once the call can take more. @returns false when the caller has gone, and did not get it */
  write(answer: ConsumeAnswer): Promise<boolean>;
}

/**
 * Hands out messages of a queue until there were as many as were asked for, nothing came for too long, or the caller's time is over. What
 * was leased and could not be handed out is given back, without counting as an attempt.
 *
 * @throws INVALID_ARGUMENT, and what the queue's coordinator answers
 */
export async function consume(
  context: MessageContext,
  caller: Caller,
  request: ConsumeRequest,
  sink: ConsumeSink,
  terms: CallTerms,
): Promise<void> {
  if (request.credit > CREDIT_MAX)
    throw new SluiceError('INVALID_ARGUMENT', `a credit of ${request.credit}; at most ${CREDIT_MAX}`);
  using credit = new LeaseCredit(request.credit || DEFAULT_CREDIT, context.ledger, context.clock);
  await new ConsumeCall(context, routeOf(caller, request), request, sink, terms, credit).run();
}

type Batches = GroupAnswer<'receive'>['batches'];

class ConsumeCall {
  readonly #context: MessageContext;
  readonly #route: QueueRoute;
  readonly #request: ConsumeRequest;
  readonly #sink: ConsumeSink;
  readonly #signal: AbortSignal;
  readonly #credit: LeaseCredit;
  /** On the monotonic clock. */
  readonly #endMs: number;
  #left: number;
  #idleSinceMs: number;

  constructor(
    context: MessageContext,
    route: QueueRoute,
    request: ConsumeRequest,
    sink: ConsumeSink,
    { signal, timeoutMs }: CallTerms,
    credit: LeaseCredit,
  ) {
    this.#context = context;
    this.#route = route;
    this.#request = request;
    this.#sink = sink;
    this.#signal = signal;
    this.#credit = credit;
    this.#left = request.maxMessages || Infinity;
    this.#idleSinceMs = context.clock.monotonicMs();
    this.#endMs = this.#idleSinceMs + timeoutMs - Math.min(END_BEFORE_MS, timeoutMs * END_BEFORE_PART);
  }

  async run(): Promise<void> {
    while (!this.#signal.aborted) {
      const room = await this.#credit.room(this.#waitMs, this.#signal);
      if (room === 0) return;
      const waitMs = this.#waitMs;
      const { batches, gaps } = await this.#receive(Math.min(room, this.#left), waitMs);
      if (batches.length === 0 && gaps.length === 0) {
        if (this.#waitMs <= 0) return;
        continue;
      }
      await this.#tell(gaps);
      if (!(await this.#deliverAll(batches))) return;
      if (this.#left <= 0) return;
      this.#idleSinceMs = this.#context.clock.monotonicMs();
    }
  }

  /** How long this call may still wait for messages; 0 or less: not at all. */
  get #waitMs(): number {
    const nowMs = this.#context.clock.monotonicMs();
    const { maxWaitMs = Infinity } = this.#request;
    return Math.min(this.#idleSinceMs + maxWaitMs, this.#endMs) - nowMs;
  }

  async #receive(maxRecords: number, waitMs: number): Promise<GroupAnswer<'receive'>> {
    const { principal, topic, group } = this.#route;
    const { consumerId, leaseMs } = this.#request;
    const question = {
      ...{ topic, group, consumerId, leaseMs },
      maxRecords: Math.min(maxRecords, RECEIVE_MAX_MESSAGES),
      maxWaitMs: Math.floor(Math.min(Math.max(0, waitMs), RECEIVE_MAX_WAIT_MS)),
    };
    try {
      return await this.#context.broker.groups.ask(principal, 'receive', question, { signal: this.#signal });
    } catch (error) {
      // Nobody is there any more to hear why.
      if (this.#signal.aborted)
        return { $typeName: 'sluice.client.v1.ReceiveResponse', batches: [], gaps: [], waitedMs: 0 };
      throw error;
    }
  }

  async #tell(gaps: GroupAnswer<'receive'>['gaps']): Promise<void> {
    if (gaps.length === 0) return;
    const told = gaps.map(({ partition, from, to }) => ({ partition, from, to }));
    await this.#sink.write({ messages: [], gaps: told });
  }

  /** @returns false when the caller has gone; what it did not get is given back */
  async #deliverAll(batches: Batches): Promise<boolean> {
    const leasedMs = Math.floor(this.#context.clock.now());
    for (let from = 0; from < batches.length;) {
      const { messages, to } = await this.#decode(batches, from, leasedMs);
      const isTaken = await this.#deliver(messages);
      if (!isTaken) {
        await this.#release(batches.slice(to));
        return false;
      }
      this.#left -= messages.length;
      from = to;
    }
    return true;
  }

  /** Messages of as many batches as may be held inflated at once. Those of a batch that cannot be read are rejected. */
  async #decode(
    batches: Batches,
    from: number,
    leasedMs: number,
  ): Promise<{ messages: LeasedMessage[]; to: number }> {
    const { maxInflatedBytes } = this.#context.limits;
    const messages: LeasedMessage[] = [];
    let [to, heldBytes] = [from, 0];
    while (to < batches.length && heldBytes < HELD_MAX_BYTES) {
      const batch = batches[to++]!;
      try {
        const found = leasedMessages(batch, this.#route.topic, leasedMs, maxInflatedBytes);
        for (const message of found.messages) messages.push(message);
        heldBytes += found.heldBytes;
      } catch (error) {
        this.#context.counters.countError(asSluiceError(error).code);
        await this.#settle(rejectUnreadable(batch, 0, error));
      }
    }
    return { messages, to };
  }

  async #release(batches: Batches): Promise<void> {
    await this.#settle(
      batches.flatMap(({ partition, grant, leases }) =>
        leases.map(({ first, end }) => ({ partition, grant, first, end, kind: SettlementKind.RELEASE })),
      ),
    );
  }

  async #settle(settlements: ReturnType<typeof rejectUnreadable>): Promise<void> {
    if (settlements.length === 0) return;
    const { principal, topic, group } = this.#route;
    await this.#context.broker.groups
      .ask(principal, 'settle', { topic, group, settlements })
      .catch(() => undefined); // they run out
  }

  /** @returns false when the caller has gone; what it did not get is given back */
  async #deliver(messages: readonly LeasedMessage[]): Promise<boolean> {
    const group = groupOf(this.#request);
    for (const { token, leaseMs } of messages) {
      this.#credit.take(leaseKey(this.#route.topic, group, token), leaseMs);
    }
    for (let from = 0; from < messages.length;) {
      const to = endOfResponse(messages, from);
      const part = messages.slice(from, to);
      const taken =
        !this.#signal.aborted && (await this.#sink.write({ messages: part.map(({ message }) => message) }));
      if (!taken) {
        await this.#giveBack(messages.slice(from));
        return false;
      }
      this.#context.counters.consumed += part.length;
      from = to;
    }
    return true;
  }

  async #giveBack(messages: readonly LeasedMessage[]): Promise<void> {
    const { settler } = this.#context;
    await Promise.all(
      messages.map(({ token }) =>
        settler.settle(this.#route, {
          lease: decodeLeaseToken(token),
          kind: SettlementKind.RELEASE,
          delayMs: undefined,
          reason: '',
        }),
      ),
    );
  }
}

/** Where a response that begins with message `from` ends, exclusive. */
function endOfResponse(messages: readonly LeasedMessage[], from: number): number {
  let bytes = messages[from]!.bytes;
  let to = from + 1;
  while (to < messages.length && bytes + messages[to]!.bytes <= RESPONSE_MAX_BYTES)
    bytes += messages[to++]!.bytes;
  return to;
}

import type { GroupQuestionInit } from '../../../groups/api.ts';
import { SettlementKind } from '../../../gen/sluice/client/v1/groups_pb.ts';
import type { ErrorCode } from '../../../kernel/errors.ts';
import { asSluiceError, errorCodeFromWire } from '../../../kernel/errors.ts';
import { decodeLeaseToken, leaseRange } from '../../../wire/lease-token.ts';
import type { ClientMessage } from './client-message.ts';
import type { Refused } from './feed.ts';

/** What became of leased records. */
export interface SettleOrder {
  readonly kind: SettlementKind;
  readonly tokens: readonly string[];
  /** As `Settlement.delay_ms`. */
  readonly delayMs?: number | undefined;
  readonly reason?: string | undefined;
}

type Settlement = NonNullable<GroupQuestionInit<'settle'>['settlements']>[number];
/** Asks the coordinator. @returns the outcomes, in order. @throws what it refuses with */
export type Ask = (
  settlements: Settlement[],
) => Promise<readonly { errorCode: number; errorMessage: string }[]>;

/** One record that waits to be settled. */
interface Waiting {
  readonly settlement: Settlement;
  readonly resolve: (outcome: Outcome) => void;
}

type Outcome = { readonly code: ErrorCode; readonly message: string } | undefined;

/** Settlements in one request. */
const MAX_AT_ONCE = 10_000;

/**
 * Settles records of a queue for one client: one request at a time, and what is settled meanwhile goes with the next one.
 */
export class QueueSettlements {
  readonly #ask: Ask;
  #waiting: Waiting[] = [];
  #isRunning = false;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  /** Never rejects. @returns what was not done, by token */
  async settle({ kind, tokens, delayMs, reason = '' }: SettleOrder): Promise<readonly Refused[]> {
    const outcomes = await Promise.all(
      tokens.map(async (token): Promise<Refused | undefined> => {
        try {
          const outcome = await this.#one({
            ...leaseRange(decodeLeaseToken(token)),
            ...{ kind, reason },
            ...(delayMs === undefined ? {} : { delayMs }),
          });
          return outcome && { of: token, ...outcome };
        } catch (error) {
          const { code, message } = asSluiceError(error);
          return { of: token, code, message };
        }
      }),
    );
    return outcomes.filter((refused) => refused !== undefined);
  }

  #one(settlement: Settlement): Promise<Outcome> {
    return new Promise((resolve) => {
      this.#waiting.push({ settlement, resolve });
      if (this.#isRunning) return;
      this.#isRunning = true;
      void this.#run();
    });
  }

  async #run(): Promise<void> {
    // What one turn settles goes together.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const round = this.#waiting.splice(0, MAX_AT_ONCE);
      try {
        const results = await this.#ask(round.map(({ settlement }) => settlement));
        round.forEach(({ resolve }, index) => resolve(outcomeOf(results[index])));
      } catch (error) {
        const { code, message } = asSluiceError(error);
        for (const { resolve } of round) resolve({ code, message });
      }
    }
    this.#isRunning = false;
  }
}

/** What a client's message says about leased records. @param tokensOf an acknowledgement, for which a queue takes tokens only */
export function ordersOf(
  { nack, reject, extend, release, delayMs, leaseMs, reason }: ClientMessage,
  ack: readonly string[],
): readonly SettleOrder[] {
  const orders: SettleOrder[] = [
    { kind: SettlementKind.ACK, tokens: ack },
    { kind: SettlementKind.NACK, tokens: nack ?? [], delayMs, reason },
    { kind: SettlementKind.REJECT, tokens: reject ?? [], reason },
    { kind: SettlementKind.EXTEND, tokens: extend ?? [], delayMs: leaseMs },
    { kind: SettlementKind.RELEASE, tokens: release ?? [] },
  ];
  return orders.filter(({ tokens }) => tokens.length > 0);
}

function outcomeOf(result: { errorCode: number; errorMessage: string } | undefined): Outcome {
  if (!result) return { code: 'INTERNAL', message: 'the coordinator said nothing about it' };
  if (result.errorCode === 0) return undefined;
  return { code: errorCodeFromWire(result.errorCode), message: result.errorMessage };
}

import type { Principal } from '../../broker/ports.ts';
import type { SettlementKind } from '../../gen/sluice/client/v1/groups_pb.ts';
import type { GroupAnswer } from '../../groups/api.ts';
import { SluiceError, asSluiceError, errorCodeFromWire } from '../../kernel/errors.ts';
import type { LeaseToken } from '../../wire/lease-token.ts';
import { leaseRange } from '../../wire/lease-token.ts';
import type { MessageBroker } from './ports.ts';
import { principalKey } from '../principal-key.ts';
import { TurnGatherer } from './turn-gatherer.ts';

/** Settlements of one question; more make another. */
const SETTLEMENTS_MAX = 10_000;

/** A queue and who asks it. */
export interface QueueRoute {
  readonly principal: Principal;
  readonly topic: string;
  /** Empty: `default`. */
  readonly group: string;
}

/** What becomes of one lease. */
export interface NewSettlement {
  readonly lease: LeaseToken;
  readonly kind: SettlementKind;
  readonly delayMs: number | undefined;
  readonly reason: string;
}

interface Waiting {
  readonly route: QueueRoute;
  readonly settlement: NewSettlement;
  readonly done: (failure: SluiceError | undefined) => void;
}

/** Settles leases one by one; what comes within one turn for one queue is asked at once. */
export class LeaseSettler {
  readonly #broker: Pick<MessageBroker, 'groups'>;
  readonly #gatherer: TurnGatherer<Waiting>;

  constructor(broker: Pick<MessageBroker, 'groups'>) {
    this.#broker = broker;
    this.#gatherer = new TurnGatherer((waiting) => this.#settleAll(waiting));
  }

  /** @returns why not: LEASE_EXPIRED, and what the queue's coordinator answers; undefined when it is done */
  settle(route: QueueRoute, settlement: NewSettlement): Promise<SluiceError | undefined> {
    return new Promise((done) => {
      const { principal, topic, group } = route;
      this.#gatherer.add(`${principalKey(principal)}\0${topic}\0${group}`, { route, settlement, done });
    });
  }

  #settleAll(waiting: readonly Waiting[]): void {
    for (let from = 0; from < waiting.length; from += SETTLEMENTS_MAX) {
      void this.#ask(waiting.slice(from, from + SETTLEMENTS_MAX));
    }
  }

  async #ask(waiting: readonly Waiting[]): Promise<void> {
    const { principal, topic, group } = waiting[0]!.route;
    // Every lease by itself: of a range nobody could say which of its leases had gone.
    const settlements = waiting.map(({ settlement: { lease, kind, delayMs, reason } }) => ({
      ...leaseRange(lease),
      ...{ kind, reason },
      ...(delayMs === undefined ? {} : { delayMs }),
    }));
    let results: GroupAnswer<'settle'>['results'];
    try {
      const answer = await this.#broker.groups.ask(principal, 'settle', { topic, group, settlements });
      results = answer.results;
    } catch (error) {
      for (const { done } of waiting) done(asSluiceError(error));
      return;
    }
    for (const [index, { done }] of waiting.entries()) {
      const result = results[index];
      done(result?.errorCode === 0 ? undefined : failureOf(result));
    }
  }
}

function failureOf(result: GroupAnswer<'settle'>['results'][number] | undefined): SluiceError {
  if (!result) return new SluiceError('INTERNAL', 'the coordinator did not say what became of it');
  return new SluiceError(errorCodeFromWire(result.errorCode), result.errorMessage);
}

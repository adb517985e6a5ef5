import type { DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { Credentials, Principal } from '../../../src/broker/ports.ts';
import type { MessageBroker } from '../../../src/gateway/grpc/ports.ts';
import {
  LeasedBatchSchema,
  ReceiveResponseSchema,
  SettleResponseSchema,
} from '../../../src/gen/sluice/client/v1/groups_pb.ts';
import type { AskOptions, GroupAnswer, GroupCase, GroupQuestionInit } from '../../../src/groups/api.ts';
import { ERRORS, SluiceError } from '../../../src/kernel/errors.ts';
import { RecordBatch } from '../../../src/wire/record-batch-decoder.ts';
import { RecordBatchEncoder } from '../../../src/wire/record-batch-encoder.ts';
import { ANONYMOUS, principalFromCertificate } from '../../../src/security/principal.ts';

/** A record that was published. */
export interface PublishedRecord {
  readonly topic: string;
  readonly key: string | null;
  readonly value: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
}

type Question<C extends GroupCase> = GroupQuestionInit<C>;
type Answer = (question: Question<'receive'>, options: AskOptions) => Promise<GroupAnswer<'receive'>>;

/** A broker that stores what is published in a list, and answers questions of queues as a test says. */
export class FakeQueue implements MessageBroker {
  /** Batches as they came, by their records. */
  readonly batches: PublishedRecord[][] = [];
  readonly settled: NonNullable<Question<'settle'>['settlements']>[number][] = [];
  /** How often it was asked to settle. */
  settleRequests = 0;
  readonly receives: Question<'receive'>[] = [];
  readonly acks: number[] = [];
  /** Who published each batch. */
  readonly publishers: Principal[] = [];
  /** Tokens that are let in; without any everybody is. */
  tokens: Record<string, string> = {};
  readonly revoked = new Set<string>();
  /** What a publish of a value answers. */
  refuse: (records: readonly PublishedRecord[]) => SluiceError | undefined = () => undefined;
  /** Errors of settlements by offset. */
  readonly expired = new Set<number>();
  onReceive: Answer = () => Promise.resolve(received([]));
  /** Publishes whose answers wait, where {@link hold} is set. */
  readonly held: (() => void)[] = [];
  hold = false;
  #offset = 0;

  readonly groups = {
    ask: async (_principal: Principal, name: GroupCase, question: unknown, options: AskOptions = {}) => {
      if (name === 'receive') {
        this.receives.push(question as Question<'receive'>);
        return this.onReceive(question as Question<'receive'>, options);
      }
      if (name !== 'settle') throw new SluiceError('UNSUPPORTED', name);
      return Promise.resolve(this.#settle(question as Question<'settle'>));
    },
  } as unknown as MessageBroker['groups'];

  authenticate({ token, certificate }: Credentials): Principal {
    if (certificate) return principalFromCertificate(certificate);
    if (Object.keys(this.tokens).length === 0 && token === undefined) return ANONYMOUS;
    const name = token === undefined ? undefined : this.tokens[token];
    if (name === undefined) throw new SluiceError('UNAUTHENTICATED', 'no');
    return { name, kind: 'token', admin: false, rights: [], tokenId: name };
  }

  isStillValid({ name }: Principal): boolean {
    return !this.revoked.has(name);
  }

  readonly publish: MessageBroker['publish'] = (principal, topic, partition, batch, acks, done) => {
    this.publishers.push(principal);
    const records = recordsOf(batch, topic);
    this.acks.push(acks);
    const answer = (): void => {
      const refusal = this.refuse(records);
      if (refusal) {
        done(refusal);
        return;
      }
      this.batches.push(records);
      const baseOffset = this.#offset;
      this.#offset += records.length;
      done({ kind: 'appended', partition: partition ?? 0, baseOffset, appendTimeMs: 0 });
    };
    if (this.hold) this.held.push(answer);
    else answer();
  };

  #settle({ settlements = [] }: Question<'settle'>): GroupAnswer<'settle'> {
    this.settleRequests += 1;
    const results = settlements.map((settlement) => {
      if (this.expired.has(Number(settlement.first)))
        return { errorCode: ERRORS.LEASE_EXPIRED.wire, errorMessage: 'gone' };
      this.settled.push(settlement);
      return { errorCode: 0 };
    });
    return make(SettleResponseSchema, { results });
  }
}

/** A response with one batch of leased records. */
export function received(
  values: readonly string[],
  { firstOffset = 0, attempt = 1, leaseMs = 30_000, partition = 0 } = {},
): GroupAnswer<'receive'> {
  if (values.length === 0) return make(ReceiveResponseSchema, {});
  const end = BigInt(firstOffset + values.length);
  const leases = [{ first: BigInt(firstOffset), end, attempt }];
  return make(ReceiveResponseSchema, {
    batches: [
      make(LeasedBatchSchema, {
        ...{ partition, grant: 7n, leases, leaseMs },
        batch: storedBatch(values, firstOffset),
      }),
    ],
  });
}

/** A batch as a log has it. */
export function storedBatch(values: readonly string[], firstOffset: number): Buffer {
  const encoder = new RecordBatchEncoder();
  for (const value of values) {
    encoder.append(
      Buffer.from(`key of ${value}`),
      Buffer.from(value),
      [
        { key: 'correlation-id', value: Buffer.from(`id of ${value}`) },
        { key: 'empty', value: null },
      ],
      1_700_000_000_123,
    );
  }
  const batch = encoder.finish({ codec: 'none' });
  batch.writeBigInt64BE(BigInt(firstOffset), 0);
  return batch;
}

function recordsOf(batch: Buffer, topic: string): PublishedRecord[] {
  return [...new RecordBatch(batch).records()].map(({ key, value, headers }) => ({
    topic,
    key: key?.toString() ?? null,
    value: value?.toString() ?? '',
    headers: Object.fromEntries(headers.map((header) => [header.key, header.value?.toString()])),
  }));
}

function make<Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): MessageShape<Desc> {
  return create(schema, init);
}

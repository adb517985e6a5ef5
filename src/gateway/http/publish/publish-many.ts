import type { Principal } from '../../../broker/ports.ts';
import { ERRORS, SluiceError } from '../../../kernel/errors.ts';
import type { ApiBroker } from '../api-context.ts';
import { errorBody } from '../errors.ts';
import type { KeptAnswer } from './idempotency-keys.ts';
import type { Destination, PublishBatcher } from './publish-batcher.ts';
import type { RecordInput } from './record-input.ts';
import type { RecordGroup } from './split-records.ts';
import { splitRecords } from './split-records.ts';

/** What became of a record. */
type Outcome = { readonly partition: number; readonly offset: number } | ReturnType<typeof errorBody>;

/**
 * Publishes the records of one request, as one batch for each partition, and says where each is. Where a batch is refused the answer is that error,
 * and says of each record whether it is stored.
 *
 * @throws why nothing could be published at all
 */
export async function publishMany(
  broker: Pick<ApiBroker, 'metadata'>,
  batcher: Pick<PublishBatcher, 'publishBatch'>,
  principal: Principal,
  destination: Destination,
  records: readonly RecordInput[],
): Promise<KeptAnswer> {
  const { topic, partition, acks } = destination;
  const groups: readonly RecordGroup[] =
    partition === undefined
      ? await splitRecords(broker, principal, topic, records)
      : [{ partition, indexes: records.map((_, index) => index) }];
  const outcomes: Outcome[] = [];
  const publishGroup = ({ partition: to, indexes }: RecordGroup): Promise<SluiceError | undefined> =>
    new Promise((resolve) => {
      const those = indexes.map((index) => records[index]!);
      batcher.publishBatch(principal, { topic, partition: to, acks }, those, (error, stored, offset) => {
        for (const [at, index] of indexes.entries())
          outcomes[index] = error
            ? errorBody(error.code, error.message)
            : { partition: stored, offset: offset + at };
        resolve(error);
      });
    });
  const refusals = (await Promise.all(groups.map(publishGroup))).filter(
    (error) => error instanceof SluiceError,
  );
  const [refusal] = refusals;
  if (!refusal) return { status: acks === 0 ? 202 : 201, body: storedBody(topic, acks, outcomes) };
  if (refusals.length === groups.length) throw refusal;
  const body = { ...errorBody(refusal.code, refusal.message), topic, messages: outcomes };
  return { status: ERRORS[refusal.code].http, body: JSON.stringify(body) };
}

function storedBody(topic: string, acks: Destination['acks'], outcomes: readonly Outcome[]): string {
  if (acks === 0) return JSON.stringify({ topic });
  const offsets = outcomes.map((outcome) => ('offset' in outcome ? outcome.offset : -1));
  return JSON.stringify({ topic, messages: outcomes, offsets });
}

import { beforeEach, describe, expect, it } from 'vitest';
import type { PublishCallback } from '../../../src/broker/broker.ts';
import type { Principal } from '../../../src/broker/ports.ts';
import type { Destination } from '../../../src/gateway/http/publish/publish-batcher.ts';
import { PublishBatcher } from '../../../src/gateway/http/publish/publish-batcher.ts';
import type { RecordInput } from '../../../src/gateway/http/publish/record-input.ts';
import { SluiceError } from '../../../src/kernel/errors.ts';
import { RecordBatch } from '../../../src/wire/record-batch-decoder.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const ALICE: Principal = { name: 'alice', kind: 'token', admin: false, rights: [], tokenId: 'a' };
const BOB: Principal = { ...ALICE, name: 'bob', tokenId: 'b' };
const TO_ORDERS: Destination = { topic: 'orders', partition: undefined, acks: 2 };

describe('records that share batches', () => {
  const published: { readonly who: string; readonly topic: string; readonly values: readonly string[] }[] =
    [];
  /** Why a batch with these values is refused; undefined: it is not. */
  let refuse: (values: readonly string[]) => SluiceError | undefined;
  let end: number;
  let batcher: PublishBatcher;
  let outcomes: (string | number)[];

  beforeEach(() => {
    published.length = 0;
    outcomes = [];
    refuse = () => undefined;
    end = 100;
    const publish = (
      who: Principal,
      topic: string,
      _: unknown,
      batch: Buffer,
      _acks: unknown,
      done: PublishCallback,
    ) => {
      const values = [...new RecordBatch(batch).records()].map(({ value }) => value!.toString());
      const refusal = refuse(values);
      if (refusal) {
        done(refusal);
        return;
      }
      published.push({ who: who.name, topic, values });
      done({ kind: 'appended', partition: 0, baseOffset: end, appendTimeMs: 0 });
      end += values.length;
    };
    batcher = new PublishBatcher({ publish }, new FakeClock());
  });
  const record = (value: string, key: string | null = null): RecordInput => ({
    ...{
      key: key === null ? null : Buffer.from(key),
      value: Buffer.from(value),
      headers: [],
      timestampMs: undefined,
    },
  });
  const add = (value: string, who = ALICE, to = TO_ORDERS, key: string | null = null): void => {
    const slot = outcomes.push('none') - 1;
    batcher.add(who, to, record(value, key), (error, _partition, offset) => {
      outcomes[slot] = error?.code ?? offset;
    });
  };
  const endOfTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const batches = (): unknown => published.map(({ values }) => values);

  it('are those of one turn, and each is told its own offset', async () => {
    for (const value of ['a', 'b', 'c']) add(value);
    await endOfTurn();
    add('d');
    await endOfTurn();
    expect([batches(), outcomes]).toEqual([
      [['a', 'b', 'c'], ['d']],
      [100, 101, 102, 103],
    ]);
  });

  it('are of one principal and go to one place', async () => {
    add('a');
    add('b', BOB);
    add('c', ALICE, { ...TO_ORDERS, topic: 'others' });
    add('d', ALICE, { ...TO_ORDERS, partition: 1 });
    add('e', ALICE, { ...TO_ORDERS, acks: 1 });
    await endOfTurn();
    expect(published.map(({ who, topic, values }) => [who, topic, ...values])).toEqual([
      ['alice', 'orders', 'a'],
      ['bob', 'orders', 'b'],
      ['alice', 'others', 'c'],
      ['alice', 'orders', 'd'],
      ['alice', 'orders', 'e'],
    ]);
  });

  it('have no key, or a partition', async () => {
    add('a', ALICE, TO_ORDERS, 'k');
    add('b', ALICE, TO_ORDERS, 'k');
    for (const value of ['c', 'd']) add(value, ALICE, { ...TO_ORDERS, partition: 0 }, 'k');
    await endOfTurn();
    expect(batches()).toEqual([['a'], ['b'], ['c', 'd']]);
  });

  it('are not many bytes', async () => {
    for (const value of ['a', 'b', 'c']) add(value.repeat(30_000));
    await endOfTurn();
    expect(published.map(({ values }) => values.length)).toEqual([2, 1]);
  });

  it('are published each by itself when all together are too large', async () => {
    refuse = (values) => (values.join('').length > 2 ? new SluiceError('BATCH_TOO_LARGE', 'no') : undefined);
    for (const value of ['aa', 'bbb', 'cc']) add(value);
    await endOfTurn();
    expect([batches(), outcomes]).toEqual([
      [['aa'], ['cc']],
      [100, 'BATCH_TOO_LARGE', 101],
    ]);
  });

  it('are all told what concerns them all', async () => {
    refuse = () => new SluiceError('FORBIDDEN', 'no');
    for (const value of ['a', 'b']) add(value);
    await endOfTurn();
    expect(outcomes).toEqual(['FORBIDDEN', 'FORBIDDEN']);
  });

  it('leave nothing behind that cannot be a record', async () => {
    const outcome = new Promise((resolve) => {
      const impossible = { ...record('x'), timestampMs: 0.5 };
      batcher.publishBatch(ALICE, TO_ORDERS, [record('before'), impossible], (error) => resolve(error?.code));
    });
    expect(await outcome).toBe('INVALID_ARGUMENT');
    add('after');
    await endOfTurn();
    expect(batches()).toEqual([['after']]);
  });
});

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DeliveryTimes } from '../../src/client/record-times.ts';
import { RecordBatch } from '../../src/wire/record-batch-decoder.ts';
import type { decodeProduce } from '../../src/wire/produce.ts';
import { turns } from '../support/turns.ts';
import { FakeBroker } from './fake-broker.ts';

const NOW_MS = 1_700_000_000_000;
let broker: FakeBroker;
beforeEach(async () => {
  broker = await FakeBroker.open();
});
afterEach(() => broker[Symbol.asyncDispose]());

/** Headers of a record published with these, as text. */
async function published(times: DeliveryTimes): Promise<string[]> {
  let batch: ReturnType<typeof decodeProduce>['batch'] | undefined;
  broker.onProduce = (arrived) => {
    batch = arrived.batch;
    arrived.answer({});
  };
  const producer = (await broker.client()).producer();
  await Promise.all([producer.publish('t/k', 'v', { headers: { mine: 'x' }, ...times }), turns(5)]);
  const headers: string[] = [];
  new RecordBatch(batch!).forEach((record) => {
    for (const { key, value } of record.headers) headers.push(`${key}=${value!.toString()}`);
  });
  return headers;
}

describe('when a record is delivered', () => {
  it.each<[DeliveryTimes, string[]]>([
    [{}, []],
    [{ deliverAt: new Date(5000) }, ['sluice-deliver-at=5000']],
    [{ ttlMs: 60_000 }, [`sluice-expire-at=${NOW_MS + 60_000}`]],
    [
      { deliverAt: new Date(NOW_MS + 100), ttlMs: 50.5 },
      [`sluice-deliver-at=${NOW_MS + 100}`, `sluice-expire-at=${NOW_MS + 151}`],
    ],
  ])('is said in its headers: %j', async (times, expected) => {
    expect(await published(times)).toEqual(['mine=x', ...expected]);
  });

  it.each<DeliveryTimes>([
    { ttlMs: 0 },
    { ttlMs: Number.NaN },
    { ttlMs: Infinity },
    { deliverAt: new Date(NaN) },
  ])('cannot be %j', async (times) => {
    const producer = (await broker.client()).producer();
    await expect(producer.publish('t', 'v', times)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

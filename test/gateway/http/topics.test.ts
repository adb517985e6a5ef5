import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiStage } from './api-stage.ts';

describe('topics over HTTP', () => {
  let stage: ApiStage;
  beforeEach(async () => {
    stage = await ApiStage.open();
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  it('are made as asked, once', async () => {
    const topic = { name: 'orders', partitions: 2, settings: { retentionRecords: 5 } };
    const made = await stage.post('/v1/topics', topic);
    const again = await stage.post('/v1/topics', topic);
    const same = await stage.post('/v1/topics', { ...topic, ifNotExists: true });
    expect([made.status, made.body, again.status, same.status]).toMatchObject([
      201,
      {
        name: 'orders',
        partitions: 2,
        settings: { retentionRecords: 5 },
        partitionDetails: [{ partition: 0 }, {}],
      },
      409,
      201,
    ]);
  });

  it('are changed where that is named', async () => {
    await stage.post('/v1/topics', { name: 'orders', settings: { retentionRecords: 5 } });
    const { body } = await stage.call('PATCH', '/v1/topics/orders', { partitions: 3 });
    expect(body).toMatchObject({ partitions: 3, settings: { retentionRecords: 5 } });
  });

  it('are deleted', async () => {
    await stage.post('/v1/topics', { name: 'orders' });
    const deleted = await stage.call('DELETE', '/v1/topics/orders');
    expect([deleted.status, (await stage.get('/v1/topics/orders')).status]).toEqual([204, 404]);
  });

  it('tell how many records they hold, and where times lie', async () => {
    await stage.post('/v1/topics', { name: 'orders', partitions: 2 });
    for (const timestamp of [1000, 2000, 3000])
      await stage.post('/v1/topics/orders/messages?partition=1', { value: 'x', timestamp });
    const count = await stage.get('/v1/topics/orders/count');
    const offsets = await stage.get('/v1/topics/orders/offsets?at=@2000');
    expect([count.body, offsets.body]).toEqual([
      {
        topic: 'orders',
        count: 3,
        partitions: [
          { partition: 0, count: 0 },
          { partition: 1, count: 3 },
        ],
      },
      {
        offsets: [
          { topic: 'orders', partition: 0, offset: 0 },
          { topic: 'orders', partition: 1, offset: 1 },
        ],
      },
    ]);
  });

  it('are not made by looking', async () => {
    const answer = await stage.get('/v1/topics/orders/partitions/0/messages');
    expect([answer.status, (await stage.get('/v1/topics')).body]).toEqual([404, { topics: [] }]);
  });

  it.each([
    ['a setting that is none', { name: 'orders', settings: { retention: 5 } }],
    ['no name', { partitions: 1 }],
    ['no partitions', { name: 'orders', partitions: 0 }],
    ['a list', []],
    ['nothing', ''],
  ])('refuse %s', async (_what, body) => {
    const answer = await stage.post('/v1/topics', body);
    expect([answer.status, answer.body]).toMatchObject([400, { error: { code: 'INVALID_ARGUMENT' } }]);
  });
});

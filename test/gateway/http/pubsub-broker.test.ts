import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiStage } from './api-stage.ts';

describe('the paths of pubsub-broker', () => {
  let stage: ApiStage;
  beforeEach(async () => {
    stage = await ApiStage.open();
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  it('make and list topics', async () => {
    const made = await stage.post('/v1/topics', { name: 'orders', partitions: 3 });
    const listed = await stage.get('/v1/topics');
    expect([made.status, made.body, listed.body]).toMatchObject([
      201,
      { name: 'orders', partitions: 3 },
      { topics: [{ name: 'orders', partitions: 3 }] },
    ]);
  });

  it('publish a payload as the text that it is, and a batch', async () => {
    const one = await stage.post('/v1/topics/orders/messages', {
      key: '',
      payload: 'test',
      headers: { a: 'b' },
    });
    const messages = [{ payload: 'b' }, { payload: 'Yw==', encoding: 'base64' }];
    const batch = await stage.post('/v1/topics/orders/messages/batch', { messages });
    const fetched = await stage.get('/v1/topics/orders/partitions/0/messages?offset=0&limit=10');
    expect([one.status, one.body, batch.status, batch.body, fetched.body]).toMatchObject([
      ...[201, { offset: 0, partition: 0 }, 201, { offsets: [1, 2] }],
      { messages: [{ key: '', value: 'test', headers: { a: 'b' } }, { value: 'b' }, { value: 'c' }] },
    ]);
  });
});

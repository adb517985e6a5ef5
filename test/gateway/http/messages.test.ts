import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiStage } from './api-stage.ts';

describe('messages over HTTP', () => {
  let stage: ApiStage;
  beforeEach(async () => {
    stage = await ApiStage.open();
  });
  afterEach(() => stage[Symbol.asyncDispose]());
  const fetched = async (query = '', topic = 'orders', partition = 0): Promise<Record<string, unknown>[]> => {
    const { body } = await stage.get(`/v1/topics/${topic}/partitions/${partition}/messages${query}`);
    return (body as { messages: Record<string, unknown>[] }).messages;
  };

  it('publishes a record in JSON and says where it is', async () => {
    await stage.post('/v1/topics/orders/messages', { value: 'first' });
    const answer = await stage.post('/v1/topics/orders/messages', {
      key: 'k',
      value: 'second',
      headers: { a: 'b' },
    });
    expect([answer.status, answer.body]).toEqual([201, { topic: 'orders', partition: 0, offset: 1 }]);
  });

  it('ends an answer with the record that makes it 16 MiB of JSON, and says where to go on', async () => {
    // Each character becomes six.
    const value = '\u0001'.repeat(500_000);
    for (let count = 0; count < 8; count++)
      await stage.post('/v1/topics/orders/messages?raw=true', value, { 'content-type': 'text/plain' });
    const { body } = await stage.get('/v1/topics/orders/partitions/0/messages?maxBytes=16777216');
    const { messages, nextOffset } = body as { messages: unknown[]; nextOffset: number };
    expect([messages.length, nextOffset]).toEqual([6, 6]);
  });

  it('gives back what was published', async () => {
    const record = {
      key: 'k',
      value: 'grüße',
      headers: { a: 'b', c: ['d', null] },
      timestamp: 1_700_000_000_000,
    };
    await stage.post('/v1/topics/orders/messages', record);
    expect(await fetched()).toEqual([{ ...record, topic: 'orders', partition: 0, offset: 0 }]);
  });

  it('stores a value that is no string as JSON, and gives it back as such on demand', async () => {
    await stage.post('/v1/topics/orders/messages', { value: { amount: 3 } });
    expect([(await fetched())[0]!.value, (await fetched('?encoding=json'))[0]!.value]).toEqual([
      '{"amount":3}',
      { amount: 3 },
    ]);
  });

  it('stores a body that is not JSON as it is', async () => {
    const bytes = Buffer.from([0, 255, 1]);
    const headers = {
      ...{ 'content-type': 'application/octet-stream', 'x-sluice-key': 'k', 'x-sluice-header-trace': 't' },
      'x-sluice-timestamp': '1700000000000',
    };
    await stage.post('/v1/topics/orders/messages', bytes, headers);
    expect(await fetched()).toEqual([
      {
        ...{ topic: 'orders', partition: 0, offset: 0, timestamp: 1_700_000_000_000, encoding: 'base64' },
        ...{ key: 'aw==', value: bytes.toString('base64'), headers: { trace: 'dA==' } },
      },
    ]);
  });

  it('stores a JSON body as it is on demand', async () => {
    await stage.post('/v1/topics/orders/messages?raw=true', { amount: 3 });
    expect((await fetched())[0]!.value).toBe('{"amount":3}');
  });

  it('publishes again what an answer says', async () => {
    await stage.post('/v1/topics/orders/messages', Buffer.from([255, 0]), { 'x-sluice-key': 'k' });
    const [record] = await fetched();
    await stage.post('/v1/topics/copies/messages', record);
    const [copy] = await fetched('', 'copies');
    expect(copy).toEqual({ ...record, topic: 'copies' });
  });

  it('refuses a record with a name that means nothing', async () => {
    const answer = await stage.post('/v1/topics/orders/messages', { vaule: 'x' });
    expect([answer.status, answer.body]).toMatchObject([400, { error: { code: 'INVALID_ARGUMENT' } }]);
  });

  it.each([
    ['no JSON', '{'],
    ['a list', '[]'],
    ['a key that is no text', '{"key":3}'],
    ['broken base64', '{"value":"a","encoding":"base64"}'],
    ['an unknown encoding', '{"encoding":"rot13"}'],
    ['a time that is none', '{"timestamp":-1}'],
  ])('refuses %s', async (_what, body) => {
    const answer = await stage.post('/v1/topics/orders/messages', body, {
      'content-type': 'application/json',
    });
    expect([answer.status, answer.body]).toMatchObject([400, { error: { code: 'INVALID_ARGUMENT' } }]);
  });

  it('publishes lines of JSON as one batch', async () => {
    const lines = '{"value":"a"}\n\n{"value":"b","key":"k"}\n{"value":"c"}';
    const answer = await stage.post('/v1/topics/orders/messages', lines, {
      'content-type': 'application/x-ndjson',
    });
    expect([answer.status, answer.body, stage.broker.counters.batchesIn]).toMatchObject([
      201,
      { offsets: [0, 1, 2] },
      1,
    ]);
  });

  it('publishes nothing when a line is wrong', async () => {
    const lines = '{"value":"a"}\n{"value":';
    const answer = await stage.post('/v1/topics/orders/messages', lines, {
      'content-type': 'application/x-ndjson',
    });
    expect([answer.status, stage.broker.counters.recordsIn]).toEqual([400, 0]);
  });

  it('brings the records of a batch to the partitions of their keys', async () => {
    await stage.post('/v1/topics', { name: 'orders', partitions: 3 });
    const messages = ['a', 'b', 'c', 'd', 'e', 'f'].map((key) => ({ key, value: key }));
    const { body } = await stage.post('/v1/topics/orders/messages/batch', { messages });
    const together = (body as { messages: { partition: number }[] }).messages.map(
      ({ partition }) => partition,
    );
    const alone: number[] = [];
    for (const message of messages) {
      const answer = await stage.post('/v1/topics/orders/messages', message);
      alone.push((answer.body as { partition: number }).partition);
    }
    expect([together, new Set(together).size > 1]).toEqual([alone, true]);
  });

  it('says of each record of a batch what became of it when some are refused', async () => {
    await stage.post('/v1/topics', { name: 'orders', partitions: 2, settings: { batchMaxBytes: 1024 } });
    const messages = ['a', 'b', 'c', 'd'].map((key) => ({
      key,
      value: key === 'a' ? 'x'.repeat(2000) : key,
    }));
    const { status, body } = await stage.post('/v1/topics/orders/messages/batch', { messages });
    const outcomes = (body as { messages: object[] }).messages.map((each) => 'error' in each);
    expect([status, outcomes[0], outcomes.includes(false)]).toEqual([413, true, true]);
  });

  it('answers requests of one turn that share a batch each with its own offset', async () => {
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, n) => stage.post('/v1/topics/orders/messages', { value: `v${n}` })),
    );
    const values = (await fetched()).map(({ value }) => value);
    expect(answers.map(({ body }) => values[(body as { offset: number }).offset])).toEqual(
      answers.map((_, n) => `v${n}`),
    );
  });

  it('answers at once with acks=none', async () => {
    const answer = await stage.post('/v1/topics/orders/messages?acks=none', { value: 'x' });
    expect([answer.status, answer.body]).toEqual([202, { topic: 'orders' }]);
  });

  it('reads from an offset, at most so many', async () => {
    for (const value of ['a', 'b', 'c', 'd']) await stage.post('/v1/topics/orders/messages', { value });
    const { body } = await stage.get('/v1/topics/orders/partitions/0/messages?offset=1&limit=2');
    expect(body).toMatchObject({ messages: [{ value: 'b' }, { value: 'c' }], nextOffset: 3, gaps: [] });
  });

  it('reads on within a batch', async () => {
    const messages = ['a', 'b', 'c'].map((value) => ({ value }));
    await stage.post('/v1/topics/orders/messages/batch', { messages });
    expect(await fetched('?offset=1&limit=1')).toMatchObject([{ value: 'b', offset: 1 }]);
  });

  it('counts headers among the bytes of an answer', async () => {
    const headers = { large: 'x'.repeat(2000) };
    await stage.post('/v1/topics/orders/messages/batch', { messages: [1, 2, 3].map(() => ({ headers })) });
    expect(await fetched('?offset=0&maxBytes=3000')).toMatchObject([{ offset: 0 }, { offset: 1 }]);
  });

  it('waits for a record', async () => {
    await stage.post('/v1/topics', { name: 'orders' });
    const waiting = stage.get('/v1/topics/orders/partitions/0/messages?wait=30000');
    await stage.post('/v1/topics/orders/messages', { value: 'late' });
    expect((await waiting).body).toMatchObject({ messages: [{ value: 'late' }], nextOffset: 1 });
  });

  it('answers with nothing when nothing came in time', async () => {
    await stage.post('/v1/topics', { name: 'orders' });
    expect((await stage.get('/v1/topics/orders/partitions/0/messages?wait=20')).body).toMatchObject({
      messages: [],
      nextOffset: 0,
    });
  });

  it('answers who waits when the gateway goes', async () => {
    await stage.post('/v1/topics', { name: 'orders' });
    const waiting = stage.get('/v1/topics/orders/partitions/0/messages?wait=30000');
    await stage.get('/v1/topics/orders'); // the other one has arrived by now
    stage.gateway.drain();
    expect((await waiting).status).toBe(200);
  });

  it('tells which offsets are gone', async () => {
    for (const value of ['a', 'b', 'c']) await stage.post('/v1/topics/orders/messages', { value });
    await stage.call('DELETE', '/v1/topics/orders/messages?before=2');
    expect((await stage.get('/v1/topics/orders/partitions/0/messages?offset=0')).body).toMatchObject({
      messages: [{ value: 'c' }],
      gaps: [{ from: 0, to: 2 }],
    });
  });

  it('shows no record that was deleted, also where the rest of its batch is there', async () => {
    const messages = ['a', 'b', 'c'].map((value) => ({ value }));
    await stage.post('/v1/topics/orders/messages/batch', { messages });
    await stage.call('DELETE', '/v1/topics/orders/messages?before=2');
    expect((await stage.get('/v1/topics/orders/partitions/0/messages?offset=1&limit=1')).body).toMatchObject({
      messages: [{ value: 'c', offset: 2 }],
      gaps: [{ from: 1, to: 2 }],
      nextOffset: 3,
    });
  });

  it('refuses an offset beyond the end', async () => {
    await stage.post('/v1/topics', { name: 'orders' });
    const answer = await stage.get('/v1/topics/orders/partitions/0/messages?offset=7');
    expect([answer.status, answer.body]).toMatchObject([416, { error: { code: 'OFFSET_OUT_OF_RANGE' } }]);
  });

  it.each(['offset=-1', 'limit=0', 'limit=x', 'wait=31000', 'ofset=1', 'encoding=x'])(
    'refuses ?%s',
    async (query) => {
      const answer = await stage.get(`/v1/topics/orders/partitions/0/messages?${query}`);
      expect([answer.status, answer.body]).toMatchObject([400, { error: { code: 'INVALID_ARGUMENT' } }]);
    },
  );

  it('peeks at the oldest and the newest of all partitions', async () => {
    await stage.post('/v1/topics', { name: 'orders', partitions: 2 });
    for (const [n, value] of ['a', 'b', 'c', 'd'].entries())
      await stage.post(`/v1/topics/orders/messages?partition=${n % 2}`, { value, timestamp: n });
    const values = async (query: string): Promise<unknown[]> => {
      const { body } = await stage.get(`/v1/topics/orders/peek?${query}`);
      return (body as { messages: { value: unknown }[] }).messages.map(({ value }) => value);
    };
    expect([await values('limit=1'), await values('at=latest&limit=3')]).toEqual([['a'], ['b', 'c', 'd']]);
  });

  it('names what it does not know in a query', async () => {
    const { status, body } = await stage.get('/v1/topics/orders/peek?limt=1');
    expect(status).toBe(400);
    expect((body as { error: { message: string } }).error.message).toMatch(/: limt$/);
  });
});

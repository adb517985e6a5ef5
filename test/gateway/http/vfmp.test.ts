import { afterEach, describe, expect, it } from 'vitest';
import { SluiceError } from '../../../src/kernel/errors.ts';
import type { AnswerQuestion } from './api-stage.ts';
import { ApiStage } from './api-stage.ts';
import { browsedBatch, storedBatch } from './leased.ts';

const noQueue: AnswerQuestion = () => {
  throw new SluiceError('QUEUE_NOT_FOUND', 'no such queue');
};

describe('the paths of VFMP', () => {
  let stage: ApiStage;
  const open = async (groups: AnswerQuestion = noQueue): Promise<void> => {
    stage = await ApiStage.open({ groups });
  };
  afterEach(() => stage[Symbol.asyncDispose]());

  it('publish a body and answer with none', async () => {
    await open();
    const { status, body, headers } = await stage.post('/messages/AAAA', 'test-message', {
      'content-type': 'text/plain',
    });
    expect([status, body]).toEqual([200, '']);
    expect(headers.get('x-correlation-id')).toMatch(
      /^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/,
    );
  });

  it('take what comes after the topic for the key', async () => {
    await open();
    await stage.post('/messages/sensors/room1/temp', '21', { 'x-correlation-id': 'mine' });
    const { body } = await stage.get('/v1/topics/sensors/partitions/0/messages');
    expect(body).toMatchObject({
      messages: [{ key: 'room1/temp', value: '21', headers: { 'correlation-id': 'mine' } }],
    });
  });

  it('count and show what is retained where nobody has consumed yet', async () => {
    await open();
    for (const value of ['test-message', 'second']) await stage.post('/messages/AAAB', value);
    const count = await stage.get('/messages/AAAB?data=count');
    const peek = await stage.get('/messages/AAAB?data=peek');
    expect([count.body, peek.body]).toMatchObject([
      { count: 2 },
      { topic: 'AAAB', data: Buffer.from('test-message').toString('base64'), sendCount: 0 },
    ]);
  });

  it('count and show what waits in the queue', async () => {
    const status = { ready: 3n, delayed: 1n, leased: 5n };
    await open((name) =>
      name === 'describeQueue'
        ? { partitions: [status, status] }
        : { batches: [browsedBatch(storedBatch(7, ['a', 'b']), [[8, 9, 2]])], next: [] },
    );
    const count = await stage.get('/messages/jobs?data=count');
    const peek = await stage.get('/messages/jobs?data=peek');
    expect([count.body, peek.body]).toMatchObject([{ count: 8 }, { data: 'Yg==', sendCount: 2 }]);
  });

  it('find nothing in an empty topic and in one that is not there', async () => {
    await open();
    await stage.post('/v1/topics', { name: 'empty' });
    const statuses = await Promise.all(
      ['empty', 'nowhere'].map(async (topic) => (await stage.get(`/messages/${topic}?data=peek`)).status),
    );
    expect([...statuses, (await stage.get('/messages/nowhere?data=count')).body]).toEqual([
      404,
      404,
      { count: 0 },
    ]);
  });

  it('name dead letters', async () => {
    await open(() => ({ partitions: [] }));
    await stage.get('/messages/DEADLETTER/jobs?data=count');
    expect(stage.asked).toEqual([{ name: 'describeQueue', question: { topic: 'dlq.jobs' } }]);
  });

  it('refuse to look for anything else', async () => {
    await open();
    const statuses = await Promise.all(
      ['AAAA', 'AAAA?data=x', 'AAAA/key?data=count'].map(
        async (path) => (await stage.get(`/messages/${path}`)).status,
      ),
    );
    expect(statuses).toEqual([400, 400, 400]);
  });

  it('say that the node is there, and its version', async () => {
    await open();
    const health = await stage.get('/control/healthcheck');
    expect([health.status, (await stage.get('/control/version')).body]).toEqual([200, '1.2.3']);
  });
});

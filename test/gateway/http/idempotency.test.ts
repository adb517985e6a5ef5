import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  IDEMPOTENCY_WINDOW_MS,
  IdempotencyKeys,
} from '../../../src/gateway/http/publish/idempotency-keys.ts';
import type { KeptAnswer } from '../../../src/gateway/http/publish/idempotency-keys.ts';
import { SluiceError } from '../../../src/kernel/errors.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { ApiStage } from './api-stage.ts';

describe('idempotency keys', () => {
  const clock = new FakeClock();
  const keys = new IdempotencyKeys(clock);
  let done = 0;
  const perform = (): Promise<KeptAnswer> => Promise.resolve({ status: 201, body: `${(done += 1)}` });
  beforeEach(() => {
    done = 0;
  });

  it('answer a request that is made again as the first, also while that is under way', async () => {
    const answers = await Promise.all([keys.once('a', 'f', perform), keys.once('a', 'f', perform)]);
    const later = await keys.once('a', 'f', perform);
    expect([...answers, later].map(({ body }) => body)).toEqual(['1', '1', '1']);
  });

  it('are refused for another request', async () => {
    await keys.once('b', 'f', perform);
    await expect(keys.once('b', 'g', perform)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('are forgotten after a while', async () => {
    await keys.once('c', 'f', perform);
    clock.advance(IDEMPOTENCY_WINDOW_MS);
    expect((await keys.once('c', 'f', perform)).body).toBe('2');
  });

  it('keep no errors', async () => {
    const refuse = (): Promise<KeptAnswer> => Promise.reject(new SluiceError('UNAVAILABLE', 'no'));
    await keys.once('d', 'f', refuse).catch(() => undefined);
    await keys.once('d', 'f', () => Promise.resolve({ status: 503, body: 'partly' }));
    expect((await keys.once('d', 'f', perform)).body).toBe('1');
  });

  it('keep so much and no more', async () => {
    const few = new IdempotencyKeys(clock);
    const large = (): Promise<KeptAnswer> =>
      Promise.resolve({ status: 201, body: 'x'.repeat(4 * 1024 * 1024) });
    for (let n = 0; n < 20; n += 1) await few.once(`${n}`, 'f', large);
    expect(few.size).toBeLessThan(9);
  });
});

describe('publishing with an idempotency key', () => {
  let stage: ApiStage;
  beforeEach(async () => {
    stage = await ApiStage.open({ tokens: { a: 'alice', b: 'bob' } });
  });
  afterEach(() => stage[Symbol.asyncDispose]());
  const publish = (token: string, topic: string, body: string, key: string): Promise<unknown> =>
    stage
      .post(`/v1/topics/${topic}/messages`, body, {
        'idempotency-key': key,
        authorization: `Bearer ${token}`,
      })
      .then(({ body: answer }) => answer);

  it('stores a record once', async () => {
    const answers = [await publish('a', 't', 'x', 'k'), await publish('a', 't', 'x', 'k')];
    expect([answers[0], stage.broker.counters.recordsIn]).toEqual([answers[1], 1]);
  });

  it('is each one’s own, and each topic’s', async () => {
    await publish('a', 't', 'x', 'k');
    await publish('b', 't', 'x', 'k');
    await publish('a', 'u', 'x', 'k');
    expect(stage.broker.counters.recordsIn).toBe(3);
  });

  it('refuses the key for another record', async () => {
    await publish('a', 't', 'x', 'k');
    expect(await publish('a', 't', 'y', 'k')).toMatchObject({ error: { code: 'INVALID_ARGUMENT' } });
  });

  it('holds for batches too', async () => {
    const headers = {
      'idempotency-key': 'k',
      authorization: 'Bearer a',
      'content-type': 'application/x-ndjson',
    };
    const lines = '{"value":"a"}\n{"value":"b"}';
    for (let n = 0; n < 2; n += 1) await stage.post('/v1/topics/t/messages', lines, headers);
    expect(stage.broker.counters.recordsIn).toBe(2);
  });
});

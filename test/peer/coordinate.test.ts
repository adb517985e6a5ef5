import { afterEach, describe, expect, it } from 'vitest';
import { answerIn, groupRequest, groupResponse } from '../../src/groups/messages.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { GroupCoordination } from '../../src/peer/ports.ts';
import type { PeerStage } from './peer-stage.ts';
import { startPeers } from './peer-stage.ts';

const QUESTION = groupRequest('receive', { topic: 'jobs', maxRecords: 10, leaseMs: 500 });
const ASKER = { principal: 'alice', administers: true };
const WAIT_MS = 30_000;

describe('questions to a coordinator', () => {
  let stage: PeerStage;
  afterEach(() => stage[Symbol.asyncDispose]());
  async function start(coordinate: GroupCoordination['coordinate']): Promise<void> {
    stage = await startPeers({ services: { groups: { coordinate } } });
  }
  const ask = (signal = new AbortController().signal) =>
    stage.client.coordinate('b', 3, QUESTION, WAIT_MS, { asker: ASKER, signal });

  it('arrive as they are, and so does an answer with the largest batch there can be', async () => {
    const batch = Buffer.alloc(16 * 1024 * 1024, 'x');
    const seen: unknown[] = [];
    await start((partition, request, { asker }) => {
      seen.push(partition, request, asker);
      const leases = [{ first: 2n ** 52n, end: 2n ** 53n - 1n, attempt: 2 }];
      return Promise.resolve(
        groupResponse('receive', { batches: [{ partition: 7, batch, grant: 9n, leases }] }),
      );
    });
    const { batches } = answerIn<'receive'>(await ask());
    expect(seen).toEqual([3, QUESTION, ASKER]);
    expect(batches).toMatchObject([
      { partition: 7, grant: 9n, leases: [{ first: 2n ** 52n, end: 2n ** 53n - 1n, attempt: 2 }] },
    ]);
    expect(batch.equals(batches[0]!.batch)).toBe(true);
  });

  it('refusals keep their code', async () => {
    await start(() => Promise.reject(new SluiceError('QUEUE_NOT_FOUND', 'no such queue')));
    await expect(ask()).rejects.toMatchObject({ code: 'QUEUE_NOT_FOUND', message: 'no such queue' });
  });

  it('who asks no more is CANCELLED, and the coordinator learns of it', async () => {
    const { promise: asked, resolve } = Promise.withResolvers<AbortSignal>();
    await start((_partition, _request, { signal }) => {
      resolve(signal);
      return new Promise(() => undefined);
    });
    const asker = new AbortController();
    const asking = ask(asker.signal);
    const gone = await asked;
    const learnt = new Promise((heard) => gone.addEventListener('abort', heard));
    asker.abort();
    await expect(asking).rejects.toMatchObject({ code: 'CANCELLED' });
    await learnt;
  });

  it('who has gone before is not asked for', async () => {
    let asked = 0;
    await start(() => {
      asked += 1;
      return Promise.reject(new SluiceError('INTERNAL', 'not to be asked'));
    });
    await expect(ask(AbortSignal.abort())).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(asked).toBe(0);
  });
});

import { afterEach, describe, expect, it } from 'vitest';
import type { FetchRequest, FetchResponse } from '../../src/partition/replication.ts';
import { turns } from '../support/turns.ts';
import type { PeerStage } from './peer-stage.ts';
import { CARRIERS, emptyAnswer, fetchRequest, later, openClient, startPeers, tlsOfA } from './peer-stage.ts';

const REQUEST: FetchRequest = {
  sessionId: 7,
  sequence: 2 ** 40,
  received: 2 ** 40 - 1,
  changed: [
    {
      topicId: 't1',
      partition: 3,
      leaderEpoch: 5,
      fetchOffset: 2 ** 52,
      durableOffset: 9,
      lastEpoch: -1,
      durableStart: 7,
      unread: true,
    },
  ],
  forgotten: [{ topicId: 't2', partition: 0 }],
  maxBytes: 1000,
  maxWaitMs: 300,
};
const ENDS = { logStart: 1, logEnd: 2 ** 52, highWatermark: 8 };
const RESPONSE: FetchResponse = {
  sessionId: 7,
  sequence: 2 ** 40,
  partitions: [
    {
      topicId: 't1',
      partition: 3,
      leaderEpoch: 5,
      ...ENDS,
      batches: [Buffer.from('one'), Buffer.from('two')],
    },
    { topicId: 't1', partition: 4, leaderEpoch: 6, ...ENDS, error: 'NOT_LEADER', batches: [] },
    {
      topicId: 't2',
      partition: 0,
      leaderEpoch: 5,
      ...ENDS,
      diverging: { epoch: -1, endOffset: 4 },
      batches: [],
    },
    { topicId: 't3', partition: 1, leaderEpoch: 5, ...ENDS, batches: [Buffer.alloc(300_000, 7)] },
  ],
};

describe.each(CARRIERS)('fetches from another node, carried by %s', (carrier) => {
  let stage: PeerStage;
  afterEach(() => stage[Symbol.asyncDispose]());

  /** @param fetch answers requests of `a` */
  async function start(fetch: (request: FetchRequest, from: string) => Promise<FetchResponse>) {
    const forgotten: string[] = [];
    stage = await startPeers({
      settings: { streams: carrier },
      services: {
        replication: {
          fetch: (from, request) => fetch(request, from),
          forget: (from) => void forgotten.push(from),
        },
      },
    });
    return forgotten;
  }

  it('carry request and response as they are, from the node that the certificate names', async () => {
    const seen: unknown[] = [];
    await start((request, from) => {
      seen.push(from, request);
      return Promise.resolve(RESPONSE);
    });
    expect(await stage.client.fetch('b', REQUEST)).toEqual(RESPONSE);
    expect(seen).toEqual(['a', REQUEST]);
  });

  it('carry the error of a session', async () => {
    await start((request) => Promise.resolve({ ...emptyAnswer(request), error: 'CLOSED' }));
    expect(await stage.client.fetch('b', fetchRequest())).toEqual({
      ...{ sessionId: 0, sequence: 0, error: 'CLOSED', partitions: [] },
    });
  });

  it('are answered in their order, also when the leader is ready in another', async () => {
    const first = later<FetchResponse>();
    await start((request) =>
      request.sequence === 0 ? first.promise : Promise.resolve(emptyAnswer(request)),
    );
    const order: number[] = [];
    const both = [0, 1].map((sequence) =>
      stage.client.fetch('b', fetchRequest({ sequence })).then((answer) => order.push(answer.sequence)),
    );
    await turns(50);
    expect(order).toEqual([]);
    first.resolve(emptyAnswer(fetchRequest()));
    await Promise.all(both);
    expect(order).toEqual([0, 1]);
  });

  it('wait for their turn when two are on their way', async () => {
    const waiting: (() => void)[] = [];
    await start((request) => {
      const answer = later<FetchResponse>();
      waiting.push(() => answer.resolve(emptyAnswer(request)));
      return answer.promise;
    });
    const all = [0, 1, 2].map((sequence) => stage.client.fetch('b', fetchRequest({ sequence })));
    while (waiting.length < 2) await turns(1);
    await turns(50);
    expect(waiting).toHaveLength(2);
    waiting[0]!();
    while (waiting.length < 3) await turns(1);
    waiting.forEach((answer) => answer());
    await Promise.all(all);
  });

  it('bring a batch of 16 MiB', async () => {
    const batch = Buffer.alloc(16 * 1024 * 1024, 'x');
    const partition = { ...RESPONSE.partitions[0]!, batches: [batch] };
    await start((request) => Promise.resolve({ ...emptyAnswer(request), partitions: [partition] }));
    const { partitions } = await stage.client.fetch('b', fetchRequest());
    expect(partitions[0]!.batches[0]!.equals(batch)).toBe(true);
  });

  it('begin anew after one that was not answered in time', async () => {
    const forgotten = await start((request) =>
      request.sequence === 1 ? new Promise(() => undefined) : Promise.resolve(emptyAnswer(request)),
    );
    // The connection for calls is there as well then: the clock does not run out for it.
    await stage.client.describePartitions('b', []);
    await stage.client.fetch('b', fetchRequest());
    const late = stage.client.fetch('b', fetchRequest({ sequence: 1 }));
    stage.clock.advance(500 + stage.settings.callTimeoutMs);
    await expect(late).rejects.toMatchObject({ code: 'TIMEOUT' });
    await stage.client.fetch('b', fetchRequest());
    while (forgotten.length === 0) await turns(1);
    expect(forgotten).toEqual(['a']);
  });

  it('end the session of a node that is gone', async () => {
    const forgotten = await start((request) => Promise.resolve(emptyAnswer(request)));
    await stage.client.fetch('b', fetchRequest());
    stage.client.close();
    while (forgotten.length === 0) await turns(1);
    expect(forgotten).toEqual(['a']);
  });

  it('of a node that connects again end its session of before, once', async () => {
    const forgotten = await start((request) => Promise.resolve(emptyAnswer(request)));
    await stage.client.fetch('b', fetchRequest());
    const again = openClient(stage, tlsOfA, `127.0.0.1:${stage.server.port}`);
    await again.fetch('b', fetchRequest());
    expect(forgotten).toEqual(['a']);
    stage.client.close();
    await turns(50);
    expect(forgotten).toEqual(['a']);
    again.close();
    while (forgotten.length === 1) await turns(1);
  });

  it('fail with UNAVAILABLE when the leader ends in the middle, and at once while it is known to be gone', async () => {
    await start(() => new Promise(() => undefined));
    const fetching = stage.client.fetch('b', fetchRequest());
    await turns(50);
    const closing = stage.server.close(1);
    stage.clock.advance(1);
    await expect(fetching).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(stage.client.fetch('b', fetchRequest())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(stage.client.connections).toBe(0);
    await closing;
  });

  it('connect again after a wait', async () => {
    let answering = false;
    await start((request) =>
      answering ? Promise.resolve(emptyAnswer(request)) : Promise.reject(new Error('broken')),
    );
    await expect(stage.client.fetch('b', fetchRequest())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    answering = true;
    await expect(stage.client.fetch('b', fetchRequest())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    stage.clock.advance(stage.settings.reconnect.minMs);
    expect(await stage.client.fetch('b', fetchRequest())).toMatchObject({ sequence: 0 });
  });

  it('from a node that is no member fail with UNAVAILABLE', async () => {
    await start(() => new Promise(() => undefined));
    await expect(stage.client.fetch('c', fetchRequest())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('give up a connection that is not made in time', async () => {
    stage = await startPeers({ address: '192.0.2.1:7452', settings: { streams: carrier } });
    const fetching = stage.client.fetch('b', fetchRequest());
    stage.clock.advance(stage.settings.connectTimeoutMs);
    await expect(fetching).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

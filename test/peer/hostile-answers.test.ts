import { describe, expect, it } from 'vitest';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { FetchRequest, FetchResponse } from '../../src/partition/replication.ts';
import { FetchAnswers } from '../../src/peer/fetch-answers.ts';
import { ForwardAnswers } from '../../src/peer/forward-answers.ts';
import type { ForwardAnswer, ForwardRequest } from '../../src/peer/forward-messages.ts';
import type { ForwardCallback, LocalCopies, ReadAnswer } from '../../src/peer/ports.ts';
import { ReadAnswers } from '../../src/peer/read-answers.ts';
import type { ReadOutcome, ReadQuestion } from '../../src/peer/read-messages.ts';
import { tellable } from '../../src/transport/grpc/grpc-error.ts';
import { turns } from '../support/turns.ts';
import { FakeStream } from './fake-stream.ts';
import { fetchRequest, publishOf } from './peer-stage.ts';

const nothing = (): undefined => undefined;

describe('a node that takes publishes', () => {
  it('reads no more of them while their answers are not taken', async () => {
    const stream = new FakeStream<readonly ForwardAnswer[], ForwardRequest>();
    const forward = (_: unknown, done: ForwardCallback): void => done(new SluiceError('NOT_LEADER', 'no'));
    new ForwardAnswers(stream, { forward }, nothing);
    stream.isRead = false;
    stream.onMessage({ firstCorrelation: 0, publishes: [publishOf()] });
    await turns();
    expect([stream.written.length, stream.isPaused]).toEqual([1, true]);
    stream.readAgain();
    expect(stream.isPaused).toBe(false);
  });

  it('reads no more of them when very many wait for their answers, however small they are', async () => {
    const stream = new FakeStream<readonly ForwardAnswer[], ForwardRequest>();
    const waiting: ForwardCallback[] = [];
    new ForwardAnswers(stream, { forward: (_, done) => waiting.push(done) }, nothing);
    const publishes = Array.from({ length: 1000 }, () => publishOf({ batch: Buffer.alloc(0) }));
    while (!stream.isPaused && waiting.length < 1_000_000)
      stream.onMessage({ firstCorrelation: 0, publishes });
    expect(stream.isPaused).toBe(true);
    expect(waiting.length).toBeLessThan(400_000);
    for (const done of waiting.splice(0, 1000)) done({ kind: 'appended', baseOffset: 0, appendTimeMs: 0 });
    await turns();
    expect(stream.isPaused).toBe(false);
  });
});

describe('a node that is read from', () => {
  const question = { topicId: 't', partition: 0, offset: 0, maxBytes: 1024, maxWaitMs: 0 };
  const found: ReadAnswer = { leaderEpoch: 1, logStart: 0, highWatermark: 1, logEnd: 1, batches: [] };

  /** A node whose copies ask for room before they read. */
  function start(read: LocalCopies['read']) {
    const stream = new FakeStream<ReadOutcome, ReadQuestion>();
    const answers = new ReadAnswers('a', stream, { copies: { read }, told: tellable, onEnd: nothing });
    return {
      ...{ stream, answers },
      ask: (count: number) => {
        for (let correlation = 0; correlation < count; correlation++)
          stream.onMessage({ correlation, request: question });
      },
    };
  }

  it('reads no more for a node that does not take what it has asked for', async () => {
    let reads = 0;
    const { stream, ask } = start(async (_, __, gone, room) => {
      await room?.();
      if (gone.aborted) throw new SluiceError('CANCELLED', 'gone');
      reads++;
      await turns(1);
      return found;
    });
    stream.isRead = false;
    ask(100);
    await turns();
    expect([reads, stream.written.length, stream.isPaused]).toEqual([4, 4, true]);
    stream.readAgain();
    await turns(200);
    expect([reads, stream.written.length, stream.isPaused]).toEqual([100, 100, false]);
  });

  it('does not read for a node that is gone', async () => {
    let [reads, over] = [0, 0];
    const { stream, ask } = start(async (_, __, gone, room) => {
      await room?.();
      over++;
      if (gone.aborted) throw new SluiceError('CANCELLED', 'gone');
      reads++;
      return found;
    });
    stream.isRead = false;
    ask(100);
    await turns();
    stream.end();
    await turns();
    expect([reads, over]).toEqual([4, 100]);
  });

  it('does not read for a stream of it that was replaced, also before it is known that it is over', async () => {
    let [reads, over] = [0, 0];
    const { stream, answers, ask } = start(async (_, __, gone, room) => {
      await room?.();
      reads += gone.aborted ? 0 : 1;
      await new Promise((resolve) => gone.addEventListener('abort', resolve));
      over++;
      throw new SluiceError('CANCELLED', 'gone');
    });
    stream.end = nothing;
    ask(4);
    await turns();
    expect([reads, over]).toEqual([4, 0]);
    answers.replace();
    await turns();
    expect(over).toBe(4);
  });

  it('takes a bounded number of requests that wait', async () => {
    const waiting: ((answer: ReadAnswer) => void)[] = [];
    const { stream, ask } = start(() => {
      const { promise, resolve } = Promise.withResolvers<ReadAnswer>();
      waiting.push(resolve);
      return promise;
    });
    ask(8191);
    expect(stream.isPaused).toBe(false);
    ask(1);
    expect(stream.isPaused).toBe(true);
    waiting[0]!(found);
    await turns();
    expect(stream.isPaused).toBe(false);
  });
});

describe('a node that is fetched from', () => {
  it('lets nobody wait for longer than 10 s, whatever is asked for', () => {
    const stream = new FakeStream<FetchResponse, FetchRequest>();
    const waits: number[] = [];
    const fetch = (_: string, { maxWaitMs }: FetchRequest): Promise<FetchResponse> => {
      waits.push(maxWaitMs);
      return Promise.withResolvers<FetchResponse>().promise;
    };
    new FetchAnswers('a', stream, { fetch, forget: nothing }, nothing);
    for (const maxWaitMs of [500, 2 ** 32 - 1]) stream.onMessage(fetchRequest({ maxWaitMs }));
    expect(waits).toEqual([500, 10_000]);
  });
});

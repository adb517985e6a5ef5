import { afterEach, describe, expect, it } from 'vitest';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { PeerSettings } from '../../src/peer/peer-settings.ts';
import type { LocalCopies, ReadAnswer, ReadRequest } from '../../src/peer/ports.ts';
import { turns } from '../support/turns.ts';
import type { PeerStage } from './peer-stage.ts';
import { startPeers } from './peer-stage.ts';

const ENDS = { leaderEpoch: 3, logStart: 1, highWatermark: 2 ** 52, logEnd: 2 ** 53 - 1 };
const request = (offset = 0): ReadRequest => ({
  ...{ topicId: 't', partition: 1, offset, maxBytes: 1024 * 1024, maxWaitMs: 20 },
});

interface Asked {
  readonly nodeId: string;
  readonly request: ReadRequest;
  readonly gone: AbortSignal;
  readonly answer: PromiseWithResolvers<ReadAnswer>;
}

describe.each<PeerSettings['streams']>(['bulk', 'grpc'])(
  'reads from the copies of another node (%s)',
  (streams) => {
    let stage: PeerStage;
    let asked: Asked[];
    afterEach(() => stage[Symbol.asyncDispose]());

    /** A node whose copies answer when the test says so. */
    async function start(): Promise<void> {
      asked = [];
      const copies: LocalCopies = {
        read: (nodeId, what, gone) => {
          const answer = Promise.withResolvers<ReadAnswer>();
          asked.push({ nodeId, request: what, gone, answer });
          return answer.promise;
        },
      };
      stage = await startPeers({ services: { copies }, settings: { streams } });
    }
    async function untilAsked(count: number): Promise<void> {
      while (asked.length < count) await turns(1);
    }

    it('say all that is to be said', async () => {
      await start();
      const all = { ...request(2 ** 50), upTo: 2 ** 51, lastEpoch: 7, feeds: true, observed: true };
      const reading = stage.client.read('b', all);
      await untilAsked(1);
      expect([asked[0]!.nodeId, asked[0]!.request]).toEqual(['a', all]);
      const answer = {
        ...{ ...ENDS, diverging: { epoch: 2, endOffset: 2 ** 40 }, nearer: 'c' },
        batches: [Buffer.from('one'), Buffer.alloc(100_000, 'x')],
      };
      asked[0]!.answer.resolve(answer);
      expect(await reading).toEqual(answer);
    });

    it('are answered as they can be, each with what was read for it or why nothing was', async () => {
      await start();
      const reading = [0, 1, 2].map((offset) =>
        stage.client.read('b', request(offset)).then(
          ({ batches }) => batches.map(String),
          (error: unknown) => [(error as SluiceError).code, (error as SluiceError).message],
        ),
      );
      await untilAsked(3);
      asked[2]!.answer.resolve({ ...ENDS, batches: [Buffer.from('two')] });
      expect(await reading[2]).toEqual(['two']);
      asked[1]!.answer.reject(new SluiceError('OFFSET_OUT_OF_RANGE', 'above the end'));
      expect(await reading[1]).toEqual(['OFFSET_OUT_OF_RANGE', 'above the end']);
      asked[0]!.answer.resolve({ ...ENDS, batches: [] });
      expect(await reading[0]).toEqual([]);
    });

    it('of nothing in particular say so', async () => {
      await start();
      const reading = stage.client.read('b', { ...request(), lastEpoch: 0 });
      await untilAsked(1);
      expect(asked[0]!.request).toEqual({ ...request(), lastEpoch: 0, feeds: false, observed: false });
      const answer = { ...ENDS, diverging: { epoch: -1, endOffset: 0 }, batches: [] };
      asked[0]!.answer.resolve(answer);
      expect(await reading).toEqual(answer);
    });

    it('that fail for a reason of the program say nothing of it', async () => {
      await start();
      const reading = stage.client.read('b', request()).then(String, String);
      await untilAsked(1);
      asked[0]!.answer.reject(new Error('secret'));
      const error = await reading;
      expect(error).toContain('failed on the other node');
      expect(error).not.toContain('secret');
    });

    it('that were given up do not keep the others from their answers', async () => {
      await start();
      await stage.client.describePartitions('b', []);
      const late = stage.client.read('b', request(0));
      await untilAsked(1);
      stage.clock.advance(20 + stage.settings.callTimeoutMs);
      await expect(late).rejects.toMatchObject({ code: 'TIMEOUT' });
      const reading = stage.client.read('b', request(1));
      await untilAsked(2);
      for (const { answer } of asked) answer.resolve({ ...ENDS, batches: [Buffer.from('x')] });
      expect((await reading).batches.map(String)).toEqual(['x']);
    });

    it('are not waited for any more when the node that asked is gone, which hears so', async () => {
      await start();
      const reading = [0, 1].map((offset) => stage.client.read('b', request(offset)));
      await untilAsked(2);
      stage.client.left('b');
      for (const one of reading) await expect(one).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      while (!asked.every(({ gone }) => gone.aborted)) await turns(1);
    });

    it('bring large answers, many at once', async () => {
      await start();
      const answers = Array.from({ length: 20 }, (_, n) => Buffer.alloc(1024 * 1024, n + 1));
      const reading = answers.map((_, offset) => stage.client.read('b', request(offset)));
      await untilAsked(1);
      for (let n = 0; n < answers.length; n += 1) {
        await untilAsked(n + 1);
        asked[n]!.answer.resolve({ ...ENDS, batches: [answers[n]!] });
      }
      const read = await Promise.all(reading);
      expect(read.every(({ batches: [batch] }, n) => batch?.equals(answers[n]!))).toBe(true);
    });
  },
);

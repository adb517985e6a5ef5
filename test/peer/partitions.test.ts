import { afterEach, describe, expect, it } from 'vitest';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { Start } from '../../src/partition/reader.ts';
import type { PeerServices } from '../../src/peer/ports.ts';
import type { PeerStage } from './peer-stage.ts';
import { startPeers } from './peer-stage.ts';

const REFS = [
  { topicId: 't', partition: 0 },
  { topicId: 't', partition: 1 },
];
const FACTS = {
  ...{ leaderEpoch: 3, logStart: 1, highWatermark: 2 ** 52, logEnd: 2 ** 53 - 1 },
  ...{ retainedBytes: 2 ** 40, subscribers: 4 },
};

describe('questions to the leader', () => {
  let stage: PeerStage;
  afterEach(() => stage[Symbol.asyncDispose]());
  async function start(services: Partial<PeerServices>): Promise<void> {
    stage = await startPeers({ services });
  }

  it('how partitions are', async () => {
    const seen: unknown[] = [];
    await start({
      partitions: {
        describe: (refs) => {
          seen.push(...refs);
          return [FACTS, new SluiceError('NOT_LEADER', 'not here')];
        },
        listOffsets: () => Promise.resolve([]),
        deleteRecords: () => Promise.resolve([]),
      },
    });
    const [facts, error] = await stage.client.describePartitions('b', REFS);
    expect(seen).toEqual(REFS);
    expect(facts).toEqual(FACTS);
    expect(error).toMatchObject({ code: 'NOT_LEADER', message: 'not here' });
  });

  it.each<Start>([
    { at: 'latest' },
    { at: 'earliest' },
    { at: 'offset', offset: 2 ** 50 },
    { at: 'timestamp', timestampMs: 1_700_000_000_000 },
  ])('offsets at %j, and to delete below', async (at) => {
    const seen: unknown[] = [];
    const answer = (...asked: unknown[]) => {
      seen.push(asked);
      return Promise.resolve([2 ** 52, new SluiceError('OFFSET_OUT_OF_RANGE', 'above the end')]);
    };
    await start({ partitions: { describe: () => [], listOffsets: answer, deleteRecords: answer } });
    for (const asked of ['listOffsets', 'deleteRecords'] as const) {
      const [offset, error] = await stage.client[asked]('b', REFS, at);
      expect(offset).toBe(2 ** 52);
      expect(error).toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' });
    }
    expect(seen).toEqual([
      [REFS, at],
      [REFS, at],
    ]);
  });

  it('are refused where one offset is no answer', async () => {
    await start({});
    await expect(stage.client.listOffsets('b', REFS, { at: 'last-per-key' })).rejects.toMatchObject({
      code: 'PROTOCOL_ERROR',
    });
  });

  it('for what its copy holds', async () => {
    const answer = {
      leaderEpoch: 2,
      logStart: 0,
      highWatermark: 7,
      logEnd: 9,
      batches: [Buffer.from('one')],
    };
    const seen: unknown[] = [];
    await start({
      copies: {
        read: (nodeId, request) => {
          seen.push(nodeId, request);
          return Promise.resolve(answer);
        },
      },
    });
    const request = { topicId: 't', partition: 1, offset: 2 ** 52, maxBytes: 10, maxWaitMs: 20 };
    expect(await stage.client.read('b', request)).toEqual(answer);
    expect(seen).toEqual(['a', { ...request, feeds: false, observed: false }]);
  });

  it('for a range of it, and whether histories part', async () => {
    const answer = {
      ...{ leaderEpoch: 2, logStart: 0, highWatermark: 7, logEnd: 9, batches: [] },
      ...{ diverging: { epoch: -1, endOffset: 2 ** 51 }, nearer: 'c' },
    };
    const seen: unknown[] = [];
    await start({
      copies: {
        read: (nodeId, request) => {
          seen.push(nodeId, request);
          return Promise.resolve(answer);
        },
      },
    });
    const request = { topicId: 't', partition: 1, offset: 0, maxBytes: 10, maxWaitMs: 20 };
    const ranged = { ...request, upTo: 2 ** 52, lastEpoch: 0 };
    expect(await stage.client.read('b', { ...ranged, feeds: true, observed: true })).toEqual(answer);
    expect(seen).toEqual(['a', { ...ranged, feeds: true, observed: true }]);
  });

  it('end with the error that it answers, and the connection goes on', async () => {
    await start({
      copies: { read: () => Promise.reject(new SluiceError('STORAGE_FAILED', 'the disk is broken')) },
    });
    const request = { topicId: 't', partition: 1, offset: 0, maxBytes: 10, maxWaitMs: 20 };
    await expect(stage.client.read('b', request)).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      message: 'the disk is broken',
    });
    expect(stage.client.connections).toBe(1);
  });

  it('that fail for a reason of the program say nothing of it', async () => {
    await start({ copies: { read: () => Promise.reject(new Error('secret')) } });
    const request = { topicId: 't', partition: 1, offset: 0, maxBytes: 10, maxWaitMs: 20 };
    const error = await stage.client.read('b', request).then(String, String);
    expect(error).toContain('failed on the other node');
    expect(error).not.toContain('secret');
  });

  it('that are not answered in time are given up', async () => {
    await start({ copies: { read: () => new Promise(() => undefined) } });
    const request = { topicId: 't', partition: 1, offset: 0, maxBytes: 10, maxWaitMs: 20 };
    const reading = stage.client.read('b', request);
    stage.clock.advance(20 + stage.settings.callTimeoutMs);
    await expect(reading).rejects.toMatchObject({ code: 'TIMEOUT' });
  });
});

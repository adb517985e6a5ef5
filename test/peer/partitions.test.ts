import { afterEach, describe, expect, it } from 'vitest';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { Start } from '../../src/partition/reader.ts';
import type { LedPartitions, PeerServices } from '../../src/peer/ports.ts';
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
      // What is searched for is given up with the call.
      [REFS, at, { gone: expect.any(AbortSignal) as unknown }],
      [REFS, at],
    ]);
  });

  it('are refused where one offset is no answer', async () => {
    await start({});
    await expect(stage.client.listOffsets('b', REFS, { at: 'last-per-key' })).rejects.toMatchObject({
      code: 'PROTOCOL_ERROR',
    });
  });

  /** A leader that answers so when it is asked for offsets. */
  const answering = (listOffsets: LedPartitions['listOffsets']) =>
    start({ partitions: { describe: () => [], listOffsets, deleteRecords: listOffsets } });

  it('end with the error that it answers, and the connection goes on', async () => {
    await answering(() => Promise.reject(new SluiceError('STORAGE_FAILED', 'the disk is broken')));
    await expect(stage.client.listOffsets('b', REFS, { at: 'latest' })).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      message: 'the disk is broken',
    });
    expect(stage.client.connections).toBe(1);
  });

  it('that fail for a reason of the program say nothing of it', async () => {
    await answering(() => Promise.reject(new Error('secret')));
    const error = await stage.client.listOffsets('b', REFS, { at: 'latest' }).then(String, String);
    expect(error).toContain('failed on the other node');
    expect(error).not.toContain('secret');
  });

  it('that are not answered in time are given up', async () => {
    await answering(() => new Promise(() => undefined));
    // The connection is there then: the clock does not run out for it.
    await stage.client.describePartitions('b', []);
    const asking = stage.client.listOffsets('b', REFS, { at: 'latest' });
    stage.clock.advance(stage.settings.callTimeoutMs);
    await expect(asking).rejects.toMatchObject({ code: 'TIMEOUT' });
  });
});

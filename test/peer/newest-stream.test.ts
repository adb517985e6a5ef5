import { afterEach, describe, expect, it } from 'vitest';
import type { PeerSettings } from '../../src/peer/peer-settings.ts';
import type { ForwardTarget, LocalCopies, ReadAnswer } from '../../src/peer/ports.ts';
import { turns } from '../support/turns.ts';
import type { PeerStage } from './peer-stage.ts';
import { forward, openClient, publishOf, startPeers, tlsOfA } from './peer-stage.ts';

describe.each<PeerSettings['streams']>(['bulk', 'grpc'])('the newest stream of a node (%s)', (streams) => {
  let stage: PeerStage;
  afterEach(() => stage[Symbol.asyncDispose]());

  const again = () => openClient(stage, tlsOfA, `127.0.0.1:${stage.server.port}`);

  it('takes the place of the one before that has forwarded', async () => {
    let asked = 0;
    const forwards: ForwardTarget = {
      forward: ({ partition }, done) => {
        asked++;
        if (partition === 1) done({ kind: 'appended', baseOffset: 7, appendTimeMs: 0 });
      },
    };
    stage = await startPeers({ services: { forwards }, settings: { streams } });
    const first = forward(stage.client, publishOf());
    const refused = expect(first).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    while (asked === 0) await turns(1);
    const second = again();
    expect(await forward(second, publishOf({ partition: 1 }))).toMatchObject({ baseOffset: 7 });
    await refused;
    // The end of the first is not that of the second.
    expect(await forward(second, publishOf({ partition: 1 }))).toMatchObject({ baseOffset: 7 });
    second.close();
  });

  it('takes the place of the one before that has read', async () => {
    const found: ReadAnswer = { leaderEpoch: 1, logStart: 0, highWatermark: 1, logEnd: 1, batches: [] };
    const asked: AbortSignal[] = [];
    const copies: LocalCopies = {
      read: (_, { offset }, gone) => {
        asked.push(gone);
        return offset === 1 ? Promise.resolve(found) : Promise.withResolvers<ReadAnswer>().promise;
      },
    };
    stage = await startPeers({ services: { copies }, settings: { streams } });
    const request = { topicId: 't', partition: 0, offset: 0, maxBytes: 1, maxWaitMs: 0 };
    const refused = expect(stage.client.read('b', request)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    while (asked.length === 0) await turns(1);
    const second = again();
    expect(await second.read('b', { ...request, offset: 1 })).toEqual(found);
    await refused;
    expect(asked.map(({ aborted }) => aborted)).toEqual([true, false]);
    second.close();
  });
});

import { afterEach, describe, expect, it } from 'vitest';
import { Observers } from '../../src/observers/observers.ts';
import { CopyReads } from '../../src/peer/copy-reads.ts';
import { LeaderAnswers } from '../../src/peer/leader-answers.ts';
import { idlePartition, leadershipOf } from '../partition/fixture.ts';
import type { PeerStage } from '../peer/peer-stage.ts';
import { startPeers } from '../peer/peer-stage.ts';
import { batchOf } from '../support/batch.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { turns } from '../support/turns.ts';
import { StageCluster, TOPIC, offsetsOf, readAll, span } from './observer-stage.ts';

describe('observers on a real connection', () => {
  let peers: PeerStage;
  let observers: Observers;
  afterEach(async () => {
    observers.close();
    await peers[Symbol.asyncDispose]();
  });

  it('read what is old and what is new from another node', async () => {
    const partition = idlePartition();
    const { clock } = partition;
    const find = () => partition;
    peers = await startPeers({
      services: { copies: new CopyReads({ find, clock }), partitions: new LeaderAnswers(find) },
    });
    const cluster = new StageCluster();
    cluster.join('b');
    partition.lead(leadershipOf(7, { selfId: 'b', isr: ['b'] }));
    cluster.put({ leader: 'b', leaderEpoch: 7, isr: ['b'] });
    observers = new Observers({
      ...{ coordinator: cluster, reader: peers.client, zone: '', clock: peers.clock },
      random: new SeededRandom(1),
      counters: { recordsIn: 0, bytesIn: 0, batchesIn: 0, duplicates: 0, gapRecords: 0 },
      inflatedMaxBytes: 1024 * 1024,
    });
    const publish = (): void => {
      for (let n = 0; n < 100; n++)
        partition.append(batchOf([{ value: 'x'.repeat(20_000), timestampMs: n }]));
    };
    publish();
    const copy = observers.open(TOPIC, 0);
    const newest = await copy.openReader({ at: 'latest' });
    const oldest = await copy.openReader({ at: 'earliest' });
    const timed = await copy.openReader({ at: 'timestamp', timestampMs: 40 });
    expect([newest.nextOffset, oldest.nextOffset, timed.nextOffset]).toEqual([100, 0, 40]);
    expect(await offsetsOf(oldest)).toBe(span(0, 100));
    const { onReadable, promise } = readable();
    expect(await newest.read(1e6)).toEqual({ kind: 'idle' });
    newest.onReadable = onReadable;
    publish();
    await promise;
    const seen: string[] = [];
    while (newest.nextOffset < 200) {
      seen.push(...(await readAll(newest)));
      await turns(1);
    }
    expect(seen).toHaveLength(100);
    expect(newest.gapRecords).toBe(0);
  });
});

function readable(): { onReadable: () => void; promise: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  return { onReadable: () => resolve(undefined), promise: promise.then(() => undefined) };
}

/** Fan-out to a zone that keeps no replicas: what is new is sent there once, whatever happens to the node that it is sent to. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { ClusterStage } from './stage.ts';
import { PATIENCE, Trial } from './trial.ts';

const FAR = ['n2', 'n3', 'n4'];

/** What the nodes of the far zone were sent, in bytes of new records. */
interface Sent {
  readonly fromOutside: number;
  readonly fromInside: number;
}

describe('subscribers at three nodes of a zone without replicas', () => {
  let stage: ClusterStage;
  beforeAll(async () => {
    stage = await ClusterStage.start({
      nodes: ['n1', ...FAR],
      envOf: (id) =>
        id === 'n1'
          ? { SLUICE_CLUSTER_ZONE: 'x' }
          : { SLUICE_CLUSTER_ZONE: 'y', SLUICE_CLUSTER_CAPACITY: '0' },
    });
  });
  afterAll(() => stage[Symbol.asyncDispose]());

  const scrape = async (id: string): Promise<string> =>
    (await fetch(`http://127.0.0.1:${stage.node(id).process.httpPort}/metrics`)).text();

  async function sent(): Promise<Sent> {
    const pages = await Promise.all(FAR.map(scrape));
    const from = (zone: string): number => {
      const values = pages.flatMap((page) => [
        ...page.matchAll(
          new RegExp(`^sluice_observer_bytes_total{.*zone="${zone}",records="new"} (.*)$`, 'gm'),
        ),
      ]);
      return values.reduce((sum, [, value]) => sum + Number(value), 0);
    };
    return { fromOutside: from('x'), fromInside: from('y') };
  }

  /** How much is sent inside of the zone for each byte that comes into it, while so many records are published. */
  async function sharing(trial: Trial, records: number): Promise<number> {
    const before = await sent();
    await trial.more(records);
    const after = await sent();
    return (after.fromInside - before.fromInside) / (after.fromOutside - before.fromOutside);
  }

  it('get every record once, and it comes from the other zone once; also when a node among them is killed', async () => {
    const trial = await Trial.start(stage, 'far', {
      settings: { replicationFactor: 1, minInsync: 1 },
      storages: ['memory'],
      subscribers: 8,
    });
    // Two of three nodes are fed by the third, which makes it 2, and less on a machine so busy that nodes take each other for dead at times. Without that it is 0.
    const isShared = async (): Promise<boolean> => (await sharing(trial, 60)) > 1;
    await eventually('most of what is new is passed on inside of the zone', isShared, 60_000 * PATIENCE);

    await stage.node('n3').process.kill('SIGKILL');
    await trial.more(60);
    await stage.node('n3').process.restart();
    await stage.untilMembers(['n1', ...FAR]);
    await trial.more(30);
    await trial.end();
  });
});

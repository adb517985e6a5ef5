import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../test/support/seeded-random.ts';
import { ChaosCluster } from './chaos-cluster.ts';
import { prepareEngine } from './engine.ts';
import { FAULTS } from './faults.ts';
import { RECOVERY_MS, runAtRandom, runScenario } from './scenario.ts';

const PREPARE_MS = 600_000;
const SCENARIO_MS = 180_000;
/** Of the run in which faults come at random. */
const RANDOM_MS = 5 * 60_000;

describe('a cluster in containers', () => {
  let cluster: ChaosCluster;
  beforeAll(async () => {
    cluster = await ChaosCluster.start(await prepareEngine());
  }, PREPARE_MS);
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') console.error(await cluster.logs());
    await cluster.heal();
    await cluster.untilWhole().catch(async (error: unknown) => {
      console.error(await cluster.logs());
      throw error;
    });
  }, SCENARIO_MS);
  afterAll(() => cluster[Symbol.asyncDispose](), SCENARIO_MS);

  it.each(FAULTS)(
    'keeps its promises when $name',
    async (fault) => {
      const { broken, recoveries } = await runScenario(cluster, [fault], () => 0.5);
      expect(broken).toEqual([]);
      console.log(`recovered after ${recoveries.map(({ ms }) => Math.round(ms)).join()} ms: ${fault.name}`);
      for (const { ms } of recoveries) expect(ms).toBeLessThan(RECOVERY_MS);
    },
    SCENARIO_MS,
  );

  it(
    'keeps its promises for five minutes in which faults come at random',
    async () => {
      const seed = Number(process.env['SEED'] ?? Math.floor(Date.now() / 1000));
      console.log(`SEED=${seed}`);
      const random = new SeededRandom(seed);
      const { broken, recoveries } = await runAtRandom(cluster, RANDOM_MS, () => random.fraction());
      expect(broken).toEqual([]);
      expect(recoveries.filter(({ ms }) => ms >= RECOVERY_MS)).toEqual([]);
    },
    RANDOM_MS + SCENARIO_MS,
  );
});

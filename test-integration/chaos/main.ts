/**
 * Breaks a cluster in containers, and checks that it keeps its promises.
 *
 *     npm run chaos                                  every fault once
 *     npm run chaos -- --list                        their names
 *     npm run chaos -- --only 'etcd is restarted'    one of them
 *     npm run chaos -- --minutes 60 --seed 7         faults at random for so long; the same seed, the same faults
 *
 * Ends with 1 when a promise was broken.
 */
import { endWith, scriptOptions } from '../../test/support/script-options.ts';
import { SeededRandom } from '../../test/support/seeded-random.ts';
import { ChaosCluster } from './chaos-cluster.ts';
import { prepareEngine } from './engine.ts';
import type { Fault } from './faults/fault.ts';
import { FAULTS } from './faults.ts';
import type { Findings } from './scenario.ts';
import { RECOVERY_MS, runAtRandom, runScenario } from './scenario.ts';

const values = scriptOptions(
  {
    list: { type: 'boolean', default: false },
    only: { type: 'string' },
    minutes: { type: 'string' },
    seed: { type: 'string', default: String(Math.floor(Date.now() / 1000)) },
  },
  'usage: npm run chaos -- [--list] [--only FAULT] [--minutes N [--seed N]]',
);
const chosen = FAULTS.filter(({ name }) => values.only === undefined || name === values.only);
if (values.list) console.log(FAULTS.map(({ name }) => name).join('\n'));
else if (chosen.length === 0) endWith(`no fault is named ${values.only}; --list shows all`);
else process.exitCode = (await run(chosen)) ? 0 : 1;

async function run(faults: readonly Fault[]): Promise<boolean> {
  await using cluster = await ChaosCluster.start(await prepareEngine());
  const random = new SeededRandom(Number(values.seed));
  const fraction = (): number => random.fraction();
  if (values.minutes !== undefined) {
    console.log(`seed ${values.seed}`);
    return await tell(cluster, await runAtRandom(cluster, 60_000 * Number(values.minutes), fraction));
  }
  let isFine = true;
  for (const fault of faults)
    isFine = (await tell(cluster, await runScenario(cluster, [fault], fraction))) && isFine;
  return isFine;
}

async function tell(cluster: ChaosCluster, { broken, acknowledged, recoveries }: Findings): Promise<boolean> {
  for (const { name, ms } of recoveries)
    console.log(`${ms < RECOVERY_MS ? 'ok' : 'SLOW'} ${Math.round(ms)} ms  ${name}`);
  for (const { kind, text } of broken) console.log(`BROKEN ${kind}: ${text}`);
  console.log(`${acknowledged} records acknowledged, ${broken.length} promises broken`);
  if (broken.length > 0) console.log(await cluster.logs());
  await cluster.heal();
  await cluster.untilWhole();
  return broken.length === 0 && recoveries.every(({ ms }) => ms < RECOVERY_MS);
}

/**
 * Runs the simulator on fresh seeds, or one seed again:
 *
 *     npm run sim -- --seeds 10000 [--scenario groups] [--nodes 5] [--steps 60000]
 *     SEED=4711 npm run sim -- --scenario groups
 *
 * Without `--scenario` each seed runs in all of them. `--steps` is milliseconds of simulated time with faults. Ends with 1 at the first seed that fails,
 * after having told what happened.
 */
import { endWith, scriptOptions } from '../support/script-options.ts';
import { replay } from './replay.ts';
import type { Scenario } from './scenarios.ts';
import { SCENARIOS } from './scenarios.ts';

const values = scriptOptions(
  {
    seeds: { type: 'string', default: '1000' },
    first: { type: 'string' },
    nodes: { type: 'string' },
    steps: { type: 'string' },
    scenario: { type: 'string' },
  },
  'usage: npm run sim -- [--seeds N] [--first SEED] [--scenario NAME] [--nodes N] [--steps MS]',
);

const number = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : Number(text);
const options = { nodes: number(values.nodes), chaosMs: number(values.steps) };
const scenarios = SCENARIOS.filter(({ name }) => name === (values.scenario ?? name));
const { SEED } = process.env;
if (scenarios.length === 0)
  endWith(`there is no scenario ${values.scenario!}: ${SCENARIOS.map(({ name }) => name).join(', ')}`);

if (SEED !== undefined) {
  let isWhole = true;
  for (const scenario of scenarios) {
    const { failure } = await replay(scenario, { seed: Number(SEED), ...options });
    isWhole &&= !failure;
  }
  process.exit(isWhole ? 0 : 1);
}

const count = Number(values.seeds);
const first = number(values.first) ?? Math.floor(Math.random() * 2 ** 31);
for (const scenario of scenarios) await runAll(scenario);

async function runAll(scenario: Scenario): Promise<void> {
  const startMs = performance.now();
  const sums = new Map<string, number>();
  for (let seed = first; seed < first + count; seed++) {
    const { failure, ...result } = await scenario.run({ seed, ...options });
    for (const [what, amount] of Object.entries(result)) {
      if (what !== 'seed') sums.set(what, (sums.get(what) ?? 0) + amount);
    }
    if (!failure) continue;
    await replay(scenario, { seed, ...options });
    process.exit(1);
  }
  const seconds = (performance.now() - startMs) / 1000;
  const all = [...sums].map(([what, amount]) => `${amount} ${what}`).join(', ');
  console.log(
    `${scenario.name}, seeds ${first} to ${first + count - 1}: nothing broke; ${all}, ${(count / seconds).toFixed(1)} seeds/s`,
  );
}

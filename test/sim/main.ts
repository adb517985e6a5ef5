/**
 * Runs the simulator on fresh seeds, or one seed again:
 *
 *     npm run sim -- --seeds 10000 [--nodes 5] [--steps 60000]
 *     SEED=4711 npm run sim
 *
 * `--steps` is milliseconds of simulated time with faults. Ends with 1 at the first seed that fails, after having told what happened.
 */
import { parseArgs } from 'node:util';
import { replay } from './replay.ts';
import { simulate } from './simulation.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    first: { type: 'string' },
    nodes: { type: 'string' },
    steps: { type: 'string' },
  },
});

const number = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : Number(text);
const options = { nodes: number(values.nodes), chaosMs: number(values.steps) };
const { SEED } = process.env;

if (SEED !== undefined) {
  const result = await replay({ seed: Number(SEED), ...options });
  process.exit(result.failure ? 1 : 0);
}

const count = Number(values.seeds);
const first = number(values.first) ?? Math.floor(Math.random() * 2 ** 31);
const startMs = performance.now();
let steps = 0;
let acknowledged = 0;
let epochs = 0;
for (let seed = first; seed < first + count; seed++) {
  const result = await simulate({ seed, ...options });
  steps += result.steps;
  acknowledged += result.acknowledged;
  epochs += result.epochs;
  if (result.failure) {
    await replay({ seed, ...options });
    process.exit(1);
  }
}
const seconds = (performance.now() - startMs) / 1000;
console.log(
  `seeds ${first} to ${first + count - 1}: nothing broke; ${steps} steps, ${epochs} epochs, ${acknowledged} batches acknowledged, ${(count / seconds).toFixed(0)} seeds/s`,
);

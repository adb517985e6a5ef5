import type { SimOptions } from './plan.ts';
import type { SimResult, SimView } from './simulation.ts';
import { simulate } from './simulation.ts';

/** Runs a seed and prints everything that happens, and how to do it again. */
export async function replay(options: SimOptions, view: SimView = {}): Promise<SimResult> {
  const result = await simulate(options, { ...view, trace: (line) => console.log(line) });
  if (result.failure) {
    console.log(
      `\nseed ${options.seed} failed after ${result.steps} steps: ${result.failure.stack ?? result.failure.message}`,
    );
    console.log(`again: SEED=${options.seed} npm run sim`);
  }
  return result;
}

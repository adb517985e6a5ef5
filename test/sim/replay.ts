import type { Scenario, ScenarioOptions } from './scenarios.ts';
import type { RunResult } from './sim-run.ts';

/** Runs a seed and prints everything that happens, and how to do it again. */
export async function replay<R extends RunResult>(
  scenario: Scenario<R>,
  options: ScenarioOptions,
): Promise<R> {
  const result = await scenario.run(options, { trace: (line) => console.log(line) });
  if (result.failure) {
    console.log(
      `\nseed ${options.seed} failed after ${result.steps} steps: ${result.failure.stack ?? result.failure.message}`,
    );
    console.log(`again: SEED=${options.seed} npm run sim -- --scenario ${scenario.name}`);
  }
  return result;
}

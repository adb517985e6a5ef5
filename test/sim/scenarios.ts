import type { GroupSimResult } from './groups/group-simulation.ts';
import { simulateGroups } from './groups/group-simulation.ts';
import type { RunResult, SimView } from './sim-run.ts';
import type { SimResult } from './simulation.ts';
import { simulate } from './simulation.ts';

/** What may be said about a run of any scenario beside its seed. */
export interface ScenarioOptions {
  readonly seed: number;
  readonly nodes?: number | undefined;
  /** Milliseconds of simulated time with faults. */
  readonly chaosMs?: number | undefined;
}

/** What a cluster is for while faults happen to it. */
export interface Scenario<R extends RunResult = RunResult> {
  readonly name: string;
  run(options: ScenarioOptions, view?: SimView): Promise<R>;
}

/** Producers and subscribers of one topic: `src/partition` and all that it stands on. */
export const REPLICATION: Scenario<SimResult> = { name: 'replication', run: simulate };

/** Consumer groups and queues: `src/groups` and `src/broker`, on top of it. */
export const GROUPS: Scenario<GroupSimResult> = { name: 'groups', run: simulateGroups };

export const SCENARIOS: readonly Scenario[] = [REPLICATION, GROUPS];

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { OffsetRuns, OffsetRunsSchema } from '../../gen/sluice/groups/v1/queue_state_pb.ts';
import { SluiceError } from '../../kernel/errors.ts';
import { extendRuns } from './event-buffer.ts';
import { RUN_MAX_RECORDS, type OffsetRun } from './queue-event.ts';

/** How far behind the one before a run may begin. */
const STEP_MAX = 2 ** 32 - 1;

/** Runs in any order as they are stored: in rising order, and those that touch or overlap as one. */
export function sortedRuns(runs: readonly OffsetRun[]): OffsetRun[] {
  const sorted: OffsetRun[] = [];
  let reached = 0;
  for (const { first, end } of [...runs].sort((a, b) => a.first - b.first)) {
    if (end > reached) extendRuns(sorted, Math.max(first, reached), end);
    reached = Math.max(reached, end);
  }
  return sorted;
}

/** Runs in rising order as they are stored; more than one message only where steps would not fit. */
export function runsToWire(runs: readonly OffsetRun[]): MessageInitShape<typeof OffsetRunsSchema>[] {
  const messages: { first: bigint; steps: number[] }[] = [];
  let reached = 0;
  for (const run of runs) {
    let { first } = run;
    do {
      const length = Math.min(run.end - first, RUN_MAX_RECORDS);
      const last = messages[messages.length - 1];
      if (last && first - reached <= STEP_MAX) last.steps.push(first - reached, length);
      else messages.push({ first: BigInt(first), steps: [length] });
      first += length;
      reached = first;
    } while (first < run.end);
  }
  return messages;
}

/** @throws CORRUPT_LOG when they are not in rising order, or too high */
export function runsFromWire(messages: readonly OffsetRuns[]): OffsetRun[] {
  const runs: OffsetRun[] = [];
  let reached = 0;
  for (const { first, steps } of messages) {
    const from = safeNumber(first);
    if (from < reached || steps.length % 2 === 0) throw corrupt('runs of offsets that overlap');
    reached = from;
    for (let at = 0; at < steps.length; at += 2) {
      const start = at === 0 ? from : reached + steps[at - 1]!;
      const length = steps[at]!;
      reached = start + length;
      if (length === 0 || length > RUN_MAX_RECORDS || !Number.isSafeInteger(reached)) {
        throw corrupt(`a run of ${length} offsets`);
      }
      runs.push({ first: start, end: reached });
    }
  }
  return runs;
}

/** A u64 below 2^53. @throws CORRUPT_LOG */
export function safeNumber(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw corrupt(`the number ${value.toString()}`);
  return Number(value);
}

/** A double that is a number not below 0, and no fraction of an error. @throws CORRUPT_LOG */
export function safeDouble(value: number): number {
  if (!(value >= 0) || value > Number.MAX_SAFE_INTEGER) throw corrupt(`the number ${value}`);
  return value;
}

/** The error for stored state that cannot be. */
export function corrupt(what: string, cause?: unknown): SluiceError {
  return new SluiceError('CORRUPT_LOG', `The stored state of a queue has ${what}.`, { cause });
}

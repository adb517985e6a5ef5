import type { JournalLine } from './worker-task.ts';

/** What the members of a group did. They commit each record by itself, after its effect. */
export interface GroupHistory {
  /** Of each partition, how many records it has. */
  readonly records: readonly number[];
  readonly lines: readonly JournalLine[];
}

/** How a commit may be refused. */
const REFUSALS: ReadonlySet<string> = new Set(['STALE_GENERATION', 'UNKNOWN_MEMBER']);

/** What a group promises and did not keep, in words; empty: nothing. All must be read by then. @see docs/groups.md */
export function checkGroup({ records, lines }: GroupHistory): readonly string[] {
  return records.flatMap((count, partition) => {
    const ofPartition = lines.filter((line) => 'partition' in line && line.partition === partition);
    return checkPartition(ofPartition, count).map((fault) => `partition ${partition}: ${fault}`);
  });
}

function checkPartition(lines: readonly JournalLine[], count: number): string[] {
  const faults: string[] = [];
  /** First offsets that have had no effect, and that no commit covers. */
  let next = 0;
  let committed = 0;
  lines.forEach((line, index) => {
    if (line.event === 'effect') {
      if (line.offset > next) faults.push(`${line.worker} went from ${next} to ${line.offset}`);
      next = Math.max(next, line.offset + 1);
      if (line.offset < committed && !isRefused(lines, index))
        faults.push(`${line.worker} repeated ${line.offset}, which was committed`);
    } else if (line.event === 'settled' && line.code === undefined) {
      if (line.offset < committed) faults.push(`${line.worker} committed ${line.offset} again`);
      committed = Math.max(committed, line.offset + 1);
    } else if (line.event === 'settled' && !REFUSALS.has(line.code!)) {
      faults.push(`${line.worker} had its commit refused with ${line.code}`);
    }
  });
  if (next !== count || committed !== count)
    faults.push(`${count} records, ${next} read, ${committed} committed`);
  return faults;
}

/** Whether the commit of an effect was refused: somebody who did not know yet that the partition is another's. */
function isRefused(lines: readonly JournalLine[], effect: number): boolean {
  const { worker } = lines[effect]!;
  const answer = lines.slice(effect).find((line) => line.event === 'settled' && line.worker === worker);
  return answer?.event !== 'settled' || answer.code !== undefined;
}

/** Times at which a partition was read, milliseconds. */
export function readTimes(lines: readonly JournalLine[], partition: number): readonly number[] {
  return lines.flatMap((line) =>
    line.event === 'effect' && line.partition === partition ? [line.atMs] : [],
  );
}

/** The longest time between two of some moments, from and to the ends of a span, milliseconds. */
export function longestPauseMs(times: readonly number[], fromMs: number, toMs: number): number {
  const within = [fromMs, ...times.filter((time) => time > fromMs && time < toMs), toMs];
  return Math.max(...within.slice(1).map((time, index) => time - within[index]!));
}

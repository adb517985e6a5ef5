import { join } from 'node:path';

/** Digits of an offset in a file name: enough for every u64, so that names sort as offsets do. */
const DIGITS = 20;
const NAME = /^(\d{20})\.(log|index|snapshot|reset)$/;

/** Kinds of files that a log knows by its offset. */
export type FileKind = 'log' | 'index' | 'snapshot' | 'reset';

/** Ending of a file that is being written; removed when the log is opened. */
export const UNFINISHED = '.new';
/** Ending of what was kept aside because it is damaged; never read again. */
export const KEPT_ASIDE = '.corrupt';

/** Path of a file of the log in `directory`. */
export function filePath(directory: string, offset: number, kind: FileKind): string {
  return join(directory, `${String(offset).padStart(DIGITS, '0')}.${kind}`);
}

/** What is in a log's directory. */
export interface LogFiles {
  /** Base offsets of segments, rising. */
  readonly segments: readonly number[];
  readonly indexes: ReadonlySet<number>;
  /** Offsets of snapshots, rising. */
  readonly snapshots: readonly number[];
  /** Offsets at which the log was to begin anew, which has not come to its end; see `log-reset.ts`. */
  readonly resets: readonly number[];
  /** Names of files that somebody was writing. */
  readonly unfinished: readonly string[];
}

/** Whether there is a log in a directory with these names, perhaps one that is just being emptied. */
export function hasLog(names: readonly string[]): boolean {
  const { segments, resets } = sortFiles(names);
  return segments.length + resets.length > 0;
}

/** Sorts the names in a log's directory; what is none of the log's is left alone. */
export function sortFiles(names: readonly string[]): LogFiles {
  const offsets: Record<FileKind, number[]> = { log: [], index: [], snapshot: [], reset: [] };
  const unfinished: string[] = [];
  for (const name of names) {
    const match = NAME.exec(name);
    if (match) offsets[match[2] as FileKind].push(Number(match[1]));
    else if (name.endsWith(UNFINISHED)) unfinished.push(name);
  }
  const rising = (a: number, b: number): number => a - b;
  return {
    segments: offsets.log.filter(Number.isSafeInteger).sort(rising),
    indexes: new Set(offsets.index),
    snapshots: offsets.snapshot.filter(Number.isSafeInteger).sort(rising),
    resets: offsets.reset.filter(Number.isSafeInteger).sort(rising),
    unfinished,
  };
}

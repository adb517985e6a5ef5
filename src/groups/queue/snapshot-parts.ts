import type { SnapshotHead, SnapshotPart } from './queue-snapshot-codec.ts';
import { decodePart } from './queue-snapshot-codec.ts';
import type { StoredRun } from './queue-runs.ts';
import { corrupt } from './stored-runs.ts';

/** Snapshots take turns with two sets of keys, so that the parts of the one before are there until the next is whole. */
const SETS = ['sa', 'sb'] as const;
const NAME = /^(s[ab])(0|[1-9][0-9]{0,3})$/;

/** Keys in use of each set. */
type Used = readonly [number, number];

/** A part under the last level of its key; null: it is gone. */
export interface NamedPart {
  readonly name: string;
  readonly value: Buffer | null;
}

/** Which keys the parts of snapshots are under. */
export class PartKeys {
  readonly #used: [number, number];
  #set: number;

  /** @param used keys that may have a value @param set of the snapshot there is */
  constructor(used: Used = [0, 0], set = 1) {
    this.#used = [...used];
    this.#set = set;
  }

  /** The set that the next snapshot is stored with. */
  get next(): number {
    return 1 - this.#set;
  }

  /** Gives the parts of the next snapshot their keys. @returns what has to be stored before its head, in this order */
  take(parts: readonly Buffer[]): NamedPart[] {
    const set = this.next === 0 ? 0 : 1;
    const named: NamedPart[] = parts.map((value, index) => ({ name: nameOf(set, index), value }));
    for (let index = parts.length; index < this.#used[set]; index++) {
      named.push({ name: nameOf(set, index), value: null });
    }
    this.#used[set] = parts.length;
    this.#set = set;
    return named;
  }

  /** All that may have a value. */
  names(): string[] {
    return this.#used.flatMap((used, set) => Array.from({ length: used }, (_, index) => nameOf(set, index)));
  }
}

/** The parts of snapshots that were found in the log. */
export class LoadedParts {
  readonly #parts = new Map<string, SnapshotPart>();
  readonly #used: [number, number] = [0, 0];

  /** In log order. @returns false: the name is that of no part @throws as `decodePart` */
  load(name: string, value: Buffer | null): boolean {
    const [, prefix, index] = NAME.exec(name) ?? [];
    if (prefix === undefined) return false;
    if (!value) return this.#parts.delete(name) || true;
    const set = prefix === SETS[0] ? 0 : 1;
    this.#used[set] = Math.max(this.#used[set], Number(index) + 1);
    this.#parts.set(name, decodePart(value));
    return true;
  }

  /** All runs of a snapshot. @throws CORRUPT_LOG when one of its parts is not there */
  runsOf({ number, parts, partSet, snapshot }: SnapshotHead): readonly StoredRun[] {
    if (parts === 0) return snapshot.runs;
    const runs: StoredRun[] = [];
    for (let index = 0; index < parts; index++) {
      const part = this.#parts.get(nameOf(partSet, index));
      if (part?.number !== number) throw corrupt(`a snapshot without its part ${index}`);
      for (const run of part.runs) runs.push(run);
    }
    for (const run of snapshot.runs) runs.push(run);
    return runs;
  }

  /** Where snapshots go on. */
  keysAfter({ partSet }: SnapshotHead): PartKeys {
    return new PartKeys(this.#used, partSet);
  }
}

function nameOf(set: number, index: number): string {
  return `${SETS[set]!}${index}`;
}

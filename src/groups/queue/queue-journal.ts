import { SluiceError } from '../../kernel/errors.ts';
import type { StateRecord } from '../ports.ts';
import { decodeDelta, encodeDelta, type QueueDelta } from './queue-delta-codec.ts';
import { QueuePartition, type RedeliverySettings } from './queue-partition.ts';
import { decodeHead, encodeSnapshot, type SnapshotHead } from './queue-snapshot-codec.ts';
import { LoadedParts, PartKeys } from './snapshot-parts.ts';
import { corrupt } from './stored-runs.ts';

/** Deltas between two snapshots, at most: so many keys of each generation there are. */
const DELTAS_MAX = 4096;
/** A snapshot is due when the deltas since the last are this long, and some times as long as it. */
const DELTAS_LEAST_BYTES = 4096;
const DELTAS_PER_SNAPSHOT = 4;
/** In place of a longer delta there is a snapshot: requests gather while nothing can be stored, a state has an end. */
const DELTA_MAX_BYTES = 4 * 1024 * 1024;

const SNAPSHOT_NAME = 's';
/** Deltas take turns with two sets of keys, so that those of one snapshot are there until the one after the next. */
const GENERATIONS = ['a', 'b'] as const;
const DELTA_NAME = /^([ab])(0|[1-9][0-9]{0,3})$/;

/** Where a journal goes on. */
interface JournalPosition {
  /** Of the newest record. */
  readonly number: number;
  /** Index in {@link GENERATIONS} of the newest deltas. */
  readonly generation: number;
  /** Keys in use of each generation. */
  readonly used: readonly [number, number];
  readonly partKeys: PartKeys;
}

/**
 * How the state of one partition of a queue is stored. Keys begin `q/<topic>/<group>/<partition>/`:
 *
 *     s            the newest snapshot, with the number of the last change that is in it
 *     sa0 … sb0 …  what comes before `s`, where that is too much for one record; of every second snapshot `sb`
 *     a0 … a4095   what changed after a snapshot, in numbered deltas
 *     b0 … b4095   … after the next one; then a0 again
 *
 * Each leadership begins with a snapshot. Small states need few keys, since their snapshots are due soon.
 *
 *     const journal = new QueueJournal('q/orders/default/3', new QueuePartition(cursor, settings));
 *     journal.partition.ack(…); …                   // any number of commands
 *     await log.append(journal.changes());          // once a turn; then their askers are answered
 */
export class QueueJournal {
  readonly partition: QueuePartition;
  readonly #prefix: string;
  #number: number;
  #generation: number;
  readonly #used: [number, number];
  readonly #partKeys: PartKeys;
  #deltas = 0;
  #deltaBytes = 0;
  /** Of the last snapshot; undefined: this journal has written none. */
  #snapshotBytes: number | undefined = undefined;

  /** @param position where the journal goes on that was there before */
  constructor(prefix: string, partition: QueuePartition, position?: JournalPosition) {
    this.#prefix = prefix;
    this.partition = partition;
    this.#number = position?.number ?? 0;
    this.#generation = position?.generation ?? 0;
    this.#used = [...(position?.used ?? ([0, 0] as const))];
    this.#partKeys = position?.partKeys ?? new PartKeys();
  }

  /** What has to be stored of the commands since the last call; empty: nothing. Stored in the order of the calls. */
  changes(): StateRecord[] {
    const events = this.partition.drainEvents();
    if (events.length === 0) return [];
    this.#number++;
    if (this.#isSnapshotDue()) return this.#snapshot();
    const delta = encodeDelta({ number: this.#number, events });
    return delta.length > DELTA_MAX_BYTES ? this.#snapshot() : [this.#delta(delta)];
  }

  /** Records that make the log forget this partition, changes before the snapshot; nothing may be stored after them. */
  erase(): StateRecord[] {
    const names: string[] = [];
    for (const [generation, used] of this.#used.entries()) {
      for (let index = 0; index < used; index++) names.push(deltaName(generation, index));
    }
    // A snapshot never lacks a part; parts that no snapshot names are of no use, and do no harm.
    names.push(SNAPSHOT_NAME, ...this.#partKeys.names());
    return names.map((name) => ({ key: `${this.#prefix}/${name}`, value: null }));
  }

  #isSnapshotDue(): boolean {
    if (this.#snapshotBytes === undefined || this.#deltas >= DELTAS_MAX) return true;
    return this.#deltaBytes >= Math.max(DELTAS_LEAST_BYTES, DELTAS_PER_SNAPSHOT * this.#snapshotBytes);
  }

  #snapshot(): StateRecord[] {
    const numbered = { number: this.#number, snapshot: this.partition.capture() };
    const { parts, head } = encodeSnapshot(numbered, this.#partKeys.next);
    this.#snapshotBytes = parts.reduce((bytes, part) => bytes + part.length, head.length);
    this.#deltas = 0;
    this.#deltaBytes = 0;
    this.#generation = 1 - this.#generation;
    const named = [...this.#partKeys.take(parts), { name: SNAPSHOT_NAME, value: head }];
    return named.map(({ name, value }) => ({ key: `${this.#prefix}/${name}`, value }));
  }

  #delta(value: Buffer): StateRecord {
    const key = `${this.#prefix}/${deltaName(this.#generation, this.#deltas)}`;
    this.#deltas++;
    this.#deltaBytes += value.length;
    const used = this.#generation === 0 ? 0 : 1;
    this.#used[used] = Math.max(this.#used[used], this.#deltas);
    return { key, value };
  }
}

/** Gathers what is stored of one partition and makes it live again. */
export class QueueJournalLoader {
  readonly #prefix: string;
  #snapshot: SnapshotHead | undefined = undefined;
  readonly #parts = new LoadedParts();
  readonly #deltas = new Map<string, QueueDelta>();
  readonly #used: [number, number] = [0, 0];

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** In log order. @param name the rest of the key, after `<prefix>/` @throws CORRUPT_LOG */
  load(name: string, value: Buffer | null): void {
    const [, generation, index] = DELTA_NAME.exec(name) ?? [];
    if (name === SNAPSHOT_NAME) {
      this.#snapshot = value ? readable(() => decodeHead(value)) : undefined;
    } else if (generation === undefined) {
      if (readable(() => this.#parts.load(name, value))) return;
      throw corrupt(`the unknown key ${this.#prefix}/${name}: it is of a newer version`);
    } else if (value) {
      const used = generation === GENERATIONS[0] ? 0 : 1;
      this.#used[used] = Math.max(this.#used[used], Number(index) + 1);
      this.#deltas.set(
        name,
        readable(() => decodeDelta(value)),
      );
    } else {
      this.#deltas.delete(name);
    }
  }

  /** @returns undefined: nothing is stored. Call `partition.start(now)` when questions may come. @throws CORRUPT_LOG */
  finish(settings: RedeliverySettings): QueueJournal | undefined {
    const stored = this.#snapshot;
    if (!stored) return undefined;
    const snapshot = { ...stored.snapshot, runs: this.#parts.runsOf(stored) };
    const partition = readable(() => QueuePartition.restore(snapshot, settings));
    const newer = [...this.#deltas].filter(([, { number }]) => number > stored.number);
    newer.sort(([, a], [, b]) => a.number - b.number);
    let { number } = stored;
    for (const [, delta] of newer) {
      // What comes behind a hole was never answered: one append after another is stored, or none is.
      if (delta.number !== number + 1) break;
      number = delta.number;
      readable(() => delta.events.forEach((event) => partition.apply(event)));
    }
    const [name, newest] = newer[newer.length - 1] ?? ['a', stored];
    const generation = name.startsWith(GENERATIONS[0]) ? 0 : 1;
    const partKeys = this.#parts.keysAfter(stored);
    const position = { number: newest.number, generation, used: this.#used, partKeys };
    return new QueueJournal(this.#prefix, partition, position);
  }
}

function deltaName(generation: number, index: number): string {
  return `${GENERATIONS[generation]!}${index}`;
}

/** What `read` returns. @throws CORRUPT_LOG whatever it throws */
function readable<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof SluiceError ? error : corrupt('what cannot be read', error);
  }
}

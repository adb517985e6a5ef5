import type { Clock } from '../kernel/clock.ts';
import type { Partition } from '../partition/partition.ts';

/** Who feeds a copy asks again at least every half second; who has not for so long does so no more, milliseconds. */
const GONE_MS = 2000;

/** What telling zones apart takes. */
export interface ZoneReadersOptions {
  readonly clock: Clock;
  /** The zone of another node; undefined: it is that of this node, or is not known. */
  readonly farZoneOf: (nodeId: string) => string | undefined;
}

/** A read that feeds a copy. */
export interface ZoneRead {
  readonly nodeId: string;
  /** From where on it asked. */
  readonly offset: number;
  /** Up to where it was answered. */
  readonly end: number;
}

interface First {
  readonly nodeId: string;
  readonly end: number;
  readonly readMs: number;
}

/**
 * Which node of each other zone feeds a copy of a partition from this node: the first that does, until it falls behind another. Others of its zone are
 * told of it, so that they can read from it what would cross between the zones once more.
 *
 * Who has asked from above all that the first was given is ahead of it, and is the first from then on. What the first has asked for would be no measure:
 * of two who keep pace each is ahead of that of the other in turn.
 */
export class ZoneReaders {
  readonly #options: ZoneReadersOptions;
  readonly #firsts = new WeakMap<Partition, Map<string, First>>();

  constructor(options: ZoneReadersOptions) {
    this.#options = options;
  }

  /**
   * Takes note that a node feeds its copy of a partition from the one here.
   * @returns another one in its zone that has done so before, still does, and is as far
   */
  note(partition: Partition, { nodeId, offset, end }: ZoneRead): string | undefined {
    const { clock, farZoneOf } = this.#options;
    const zone = farZoneOf(nodeId);
    if (zone === undefined) return undefined;
    const nowMs = clock.monotonicMs();
    const firsts = this.#firsts.get(partition) ?? new Map<string, First>();
    this.#firsts.set(partition, firsts);
    const first = firsts.get(zone);
    const isNamed = first && first.nodeId !== nodeId && first.end >= offset;
    if (isNamed && nowMs - first.readMs < GONE_MS) return first.nodeId;
    firsts.set(zone, { nodeId, end, readMs: nowMs });
    return undefined;
  }
}

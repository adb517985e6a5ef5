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

interface First {
  readonly nodeId: string;
  readonly readMs: number;
}

/**
 * Which node of each other zone feeds a copy of a partition from this node: the first that does. Others of its zone are told of it, so that they
 * can read from it what would cross between the zones once more.
 */
export class ZoneReaders {
  readonly #options: ZoneReadersOptions;
  readonly #firsts = new WeakMap<Partition, Map<string, First>>();

  constructor(options: ZoneReadersOptions) {
    this.#options = options;
  }

  /**
   * Takes note that a node feeds its copy of a partition from the one here.
   * @returns another one in its zone that has done so before and still does
   */
  note(partition: Partition, nodeId: string): string | undefined {
    const { clock, farZoneOf } = this.#options;
    const zone = farZoneOf(nodeId);
    if (zone === undefined) return undefined;
    const nowMs = clock.monotonicMs();
    const firsts = this.#firsts.get(partition) ?? new Map<string, First>();
    this.#firsts.set(partition, firsts);
    const first = firsts.get(zone);
    if (first && first.nodeId !== nodeId && nowMs - first.readMs < GONE_MS) return first.nodeId;
    firsts.set(zone, { nodeId, readMs: nowMs });
    return undefined;
  }
}

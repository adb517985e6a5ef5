/*
 * Keys of a cluster, all under /sluice/<cluster>/:
 *
 *     cluster                        id of the cluster and the key that its producer ids are bound with, written once
 *     nodes/<node id>                what a member says of itself; leased
 *     controller                     who is controller; leased by the lease of that node
 *     topics/<name>                  definition
 *     partitions/<topic id>/<n>      replicas, leader, leader epoch, in-sync replicas
 *     offsets/<topic id>/<n>         ceiling of the offsets that may have been handed out, and which epoch reserved them
 *     tokens/<token id>              token record
 *     producer-ids                   ceiling of the producer ids that may have been given out
 *     rebalance                      there while replicas are to be moved to where they would be placed now
 *
 * Other keys belong to other versions and are left alone.
 */

/** Kinds of keys that exist once for each id. */
export const TABLES = ['nodes', 'topics', 'partitions', 'offsets', 'tokens'] as const;
/** Kinds of keys that exist once. */
export const SINGLES = ['cluster', 'controller', 'producer-ids', 'rebalance'] as const;

/** One of {@link TABLES}. */
export type TableKind = (typeof TABLES)[number];
/** One of {@link SINGLES}. */
export type SingleKind = (typeof SINGLES)[number];

/** A key taken apart; `id` of a single one is empty. */
export interface ParsedKey {
  readonly kind: TableKind | SingleKind;
  readonly id: string;
}

const KINDS: ReadonlySet<string> = new Set(TABLES);
const SINGLE_KINDS: ReadonlySet<string> = new Set(SINGLES);

/** Makes and reads the keys of one cluster. */
export class Keys {
  /** Ends with a slash. */
  readonly prefix: string;

  /** @param clusterName 1 to 64 characters of `A-Z a-z 0-9 . _ -` */
  constructor(clusterName: string) {
    this.prefix = `/sluice/${clusterName}/`;
  }

  of(kind: TableKind, id: string): string {
    return `${this.prefix}${kind}/${id}`;
  }

  single(kind: SingleKind): string {
    return this.prefix + kind;
  }

  /** @returns undefined for a key that is none of ours */
  parse(key: string): ParsedKey | undefined {
    const rest = key.slice(this.prefix.length);
    if (SINGLE_KINDS.has(rest)) return { kind: rest as SingleKind, id: '' };
    const slash = rest.indexOf('/');
    const kind = rest.slice(0, Math.max(0, slash));
    return KINDS.has(kind) ? { kind: kind as TableKind, id: rest.slice(slash + 1) } : undefined;
  }
}

/** The id of a partition in `partitions` and `offsets`. */
export function partitionId(topicId: string, partition: number): string {
  return `${topicId}/${partition}`;
}

/** @returns undefined for what is no partition's id */
export function parsePartitionId(
  id: string,
): { readonly topicId: string; readonly partition: number } | undefined {
  const parts = /^([^/]+)\/(0|[1-9]\d{0,8})$/.exec(id);
  return parts ? { topicId: parts[1]!, partition: Number(parts[2]) } : undefined;
}

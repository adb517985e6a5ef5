import type { IEvent, IKeyValue } from 'etcd3';
import type { z } from 'zod';
import type { Keys, ParsedKey, SingleKind, TableKind } from './keys.ts';
import { parsePartitionId } from './keys.ts';
import { Table } from './table.ts';
import type {
  ClusterValue,
  ControllerValue,
  NodeValue,
  OffsetsValue,
  PartitionValue,
  ProducerIdsValue,
  RebalanceValue,
  TokenValue,
  TopicValue,
} from './values.ts';
import {
  clusterSchema,
  controllerSchema,
  decodeValue,
  nodeSchema,
  offsetsSchema,
  partitionSchema,
  producerIdsSchema,
  rebalanceSchema,
  tokenSchema,
  topicSchema,
} from './values.ts';

/** Told of keys that hold something this version cannot read; they are passed over. */
export type IgnoredKey = (key: string, fault: string) => void;

const SCHEMAS: Readonly<Record<TableKind | SingleKind, z.ZodType>> = {
  nodes: nodeSchema,
  topics: topicSchema,
  partitions: partitionSchema,
  offsets: offsetsSchema,
  tokens: tokenSchema,
  cluster: clusterSchema,
  controller: controllerSchema,
  'producer-ids': producerIdsSchema,
  rebalance: rebalanceSchema,
};

/**
 * What this node has seen of its cluster's keys: first a reading of all of them at one revision, then every change in order.
 *
 * Something unreadable in a key is told and passed over: the value that was there before stays.
 */
export class View {
  readonly nodes = new Table<NodeValue>();
  readonly topics = new Table<TopicValue>();
  readonly partitions = new Table<PartitionValue>();
  readonly offsets = new Table<OffsetsValue>();
  readonly tokens = new Table<TokenValue>();
  readonly cluster = new Table<ClusterValue>();
  readonly controller = new Table<ControllerValue>();
  readonly producerIds = new Table<ProducerIdsValue>();
  readonly rebalance = new Table<RebalanceValue>();
  readonly #tables: Readonly<Record<TableKind | SingleKind, Table<unknown>>>;
  readonly #namesById = new Map<string, string>();
  readonly #keys: Keys;
  readonly #ignored: IgnoredKey;
  #revision = 0;

  constructor(keys: Keys, ignored: IgnoredKey) {
    this.#keys = keys;
    this.#ignored = ignored;
    const tables = {
      nodes: this.nodes,
      topics: this.topics,
      partitions: this.partitions,
      offsets: this.offsets,
      tokens: this.tokens,
      cluster: this.cluster,
      controller: this.controller,
      'producer-ids': this.producerIds,
      rebalance: this.rebalance,
    };
    // Each table gets only what its own schema has accepted.
    this.#tables = tables as unknown as Readonly<Record<TableKind | SingleKind, Table<unknown>>>;
    this.topics.watch((change) => {
      if (change.previous) this.#namesById.delete(change.previous.value.id);
      if (change.kind === 'put') this.#namesById.set(change.entry.value.id, change.id);
    });
  }

  /** Everything up to and with it has been seen. */
  get revision(): number {
    return this.#revision;
  }

  /** The name of a topic that exists. */
  topicName(topicId: string): string | undefined {
    return this.#namesById.get(topicId);
  }

  /** Takes over a reading of all keys at `revision`: whatever differs from what was seen is told as a change. */
  replace(keyValues: readonly IKeyValue[], revision: number): void {
    const present = new Set(keyValues.map(({ key }) => key.toString()));
    for (const [kind, table] of Object.entries(this.#tables) as [TableKind | SingleKind, Table<unknown>][]) {
      for (const id of [...table.ids()]) {
        const key = id === '' ? this.#keys.single(kind as SingleKind) : this.#keys.of(kind as TableKind, id);
        if (!present.has(key)) table.delete(id);
      }
    }
    const inOrder = keyValues.toSorted((a, b) => Number(a.mod_revision) - Number(b.mod_revision));
    for (const keyValue of inOrder) this.#put(keyValue);
    this.#revision = revision;
  }

  /** Applies the events of one message of a watch; those seen already are passed over. */
  apply(events: readonly IEvent[]): void {
    const seen = this.#revision;
    for (const { type, kv } of events) {
      const revision = Number(kv.mod_revision);
      if (revision <= seen) continue;
      if (type === 'Put') this.#put(kv);
      else this.#delete(kv);
      this.#revision = revision;
    }
  }

  #put(keyValue: IKeyValue): void {
    const key = keyValue.key.toString();
    const parsed = this.#keys.parse(key);
    if (!parsed) return;
    const table = this.#tables[parsed.kind];
    const modRevision = Number(keyValue.mod_revision);
    if (table.get(parsed.id)?.modRevision === modRevision) return;
    const decoded = decodeValue(SCHEMAS[parsed.kind], keyValue.value);
    const fault = 'fault' in decoded ? decoded.fault : misplaced(parsed, decoded.value);
    if (fault === undefined && 'value' in decoded) {
      table.put(parsed.id, {
        value: decoded.value,
        createRevision: Number(keyValue.create_revision),
        modRevision,
      });
      return;
    }
    table.skip(parsed.id, modRevision);
    this.#ignored(key, fault ?? 'unreadable');
  }

  #delete({ key }: IKeyValue): void {
    const parsed = this.#keys.parse(key.toString());
    if (parsed) this.#tables[parsed.kind].delete(parsed.id);
  }
}

/** What cannot be under the key where it is. */
function misplaced({ kind, id }: ParsedKey, value: unknown): string | undefined {
  if (kind === 'topics' && (value as TopicValue).name !== id) return 'it is about another topic';
  if (kind === 'tokens' && (value as TokenValue).id !== id) return 'it is about another token';
  const isPartition = kind === 'partitions' || kind === 'offsets';
  if (isPartition && !parsePartitionId(id)) return 'the key names no partition';
  return undefined;
}

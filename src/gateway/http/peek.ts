import type { Principal } from '../../broker/ports.ts';
import type { WireRecord } from '../../wire/record-cursor.ts';
import type { ApiContext } from './api-context.ts';
import { readRecords } from './read-records.ts';

/** Which records are looked at. */
export interface PeekQuestion {
  readonly at: 'earliest' | 'latest';
  /** Records at most. */
  readonly limit: number;
  /** Of records with their headers. */
  readonly maxBytes: number;
  /** Undefined: all. */
  readonly partition?: number | undefined;
}

/** A record and where it lies. */
export interface PeekedRecord {
  readonly partition: number;
  readonly record: WireRecord;
}

/**
 * The oldest or newest retained records of a topic, by time, the oldest first. Of compacted partitions fewer of the newest may come.
 * @throws FORBIDDEN, TOPIC_NOT_FOUND, PARTITION_NOT_FOUND and what keeps a partition from being read
 */
export async function peek(
  { broker, clock, limits, going }: Pick<ApiContext, 'broker' | 'clock' | 'limits' | 'going'>,
  principal: Principal,
  topic: string,
  { at, limit, maxBytes, partition }: PeekQuestion,
): Promise<readonly PeekedRecord[]> {
  const only = partition === undefined ? [] : [partition];
  const [starts, ends] = await Promise.all([
    broker.listOffsets(principal, topic, only, { at: 'earliest' }),
    broker.listOffsets(principal, topic, only, { at: 'latest' }),
  ]);
  const found: PeekedRecord[] = [];
  for (const [slot, { partition: each, offset: first }] of starts.entries()) {
    const end = ends[slot]!.offset;
    if (first >= end) continue;
    const offset = at === 'earliest' ? first : Math.max(first, end - limit);
    const start = { at: 'offset', offset } as const;
    const open = await broker.openReader(principal, {
      topic,
      partition: each,
      start,
      name: 'HTTP',
    });
    try {
      const bounds = { maxRecords: limit, maxBytes, waitMs: 0, inflatedMaxBytes: limits.inflatedMaxBytes };
      const { records } = await readRecords(open.reader, clock, { ...bounds, signal: going });
      found.push(...records.map((record) => ({ partition: each, record })));
    } finally {
      open.close();
    }
  }
  found.sort((a, b) => a.record.timestampMs - b.record.timestampMs);
  return at === 'earliest' ? found.slice(0, limit) : found.slice(-limit);
}

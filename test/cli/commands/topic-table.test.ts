import { describe, expect, it } from 'vitest';
import { topicTable, topicText } from '../../../src/cli/commands/topic.ts';
import type { TopicDescription } from '../../../src/client/index.ts';

function topic(name: string, cleanup: 'delete' | 'compact'): TopicDescription {
  const partition = { logStart: 5, highWatermark: 1205, retainedBytes: 10, subscribers: 0 };
  return {
    name,
    settings: { cleanup, storage: 'disk' },
    partitions: [partition],
  } as unknown as TopicDescription;
}

describe('the table of topics', () => {
  it('counts records, and says where compaction may have left fewer', () => {
    const rows = topicTable([topic('all', 'delete'), topic('latest', 'compact')])
      .split('\n')
      .slice(1);
    expect(rows.map((row) => row.split(/ {2,}/)[2])).toEqual(['1,200', '<= 1,200']);
  });
});

describe('the description of a topic', () => {
  const text = (replicationFactor: number, replicas: readonly string[]): string => {
    const { settings, partitions } = topic('t', 'delete');
    const copies = { leaderNodeId: replicas[0] ?? '', leaderEpoch: 1, replicas, isr: replicas };
    const bounds = { retentionBytes: 0, retentionMs: 0, retentionRecords: 0, batchMaxBytes: 1024 };
    return topicText({
      ...{ name: 't', id: 't', createdMs: 0, error: undefined },
      settings: { ...settings, ...bounds, storage: 'memory', replicationFactor, minInsync: 2 },
      partitions: partitions.map((one) => ({ ...one, ...copies })),
    });
  };

  it('says how many copies have no node', () => {
    expect(text(9, ['a', 'b', 'c'])).toMatch(/copies +9, 6 of them missing/);
    expect(text(3, ['a', 'b', 'c'])).toMatch(/copies +3, 2 in sync/);
  });

  it('takes a partition that has not been placed yet for one that will be', () => {
    expect(text(3, [])).not.toContain('missing');
  });
});

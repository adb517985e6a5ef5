import { describe, expect, it } from 'vitest';
import { topicTable } from '../../../src/cli/commands/topic.ts';
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

import { describe, expect, it } from 'vitest';
import type { TopicSettings } from '../../src/coordination/coordinator.ts';
import { mergeSettings } from '../../src/catalog/topic-settings.ts';
import { topicSettings } from '../support/topic-settings.ts';

const BASE: TopicSettings = topicSettings({
  retentionBytes: 10_000,
  retentionMs: 5,
  retentionRecords: 7,
  batchMaxBytes: 4096,
});

describe('topic settings', () => {
  it('keep what is left out and take what is named, also 0', () => {
    expect(
      mergeSettings(BASE, { retentionMs: 0, timestamps: 'append', retentionRecords: undefined }),
    ).toEqual({
      ...BASE,
      retentionMs: 0,
      timestamps: 'append',
    });
  });

  it.each([
    [{ retentionBytes: 0 }],
    [{ retentionBytes: -1 }],
    [{ retentionBytes: 4095 }],
    [{ retentionBytes: 4095, storage: 'disk' as const }],
    [{ batchMaxBytes: 10_001 }],
    [{ flush: 'os' as const }],
    [{ flush: 'interval' as const }],
    [{ flushIntervalMs: 2000 }],
    [{ tombstoneMs: 1 }],
    [{ retentionMs: 1.5 }],
    [{ retentionRecords: NaN }],
    [{ batchMaxBytes: 100 }],
    [{ batchMaxBytes: 17 * 1024 * 1024 }],
    [{ timestamps: 'now' as 'append' }],
    [{ storage: 'tape' as 'disk' }],
    [{ flush: 'never' as 'os' }],
    [{ flushIntervalMs: 0 }],
    [{ flushIntervalMs: 2 ** 31 }],
    [{ cleanup: 'compact' as const }],
    [{ cleanup: 'shred' as 'delete', storage: 'disk' as const }],
    [{ tombstoneMs: -1 }],
    [{ replicationFactor: 0 }],
    [{ replicationFactor: 17 }],
    [{ minInsync: 0 }],
    [{ minInsync: 2 }],
    [{ replicationFactor: 3, minInsync: 4 }],
  ])('refuse %j', (change) => {
    expect(() => mergeSettings(BASE, change)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as Error,
    );
  });

  it('hold one batch at least', () => {
    expect(mergeSettings(BASE, { retentionBytes: 4096 }).retentionBytes).toBe(4096);
    expect(mergeSettings(BASE, { retentionBytes: 1024, batchMaxBytes: 1024 }).batchMaxBytes).toBe(1024);
  });

  it('of a topic in memory can be taken over for another one', () => {
    expect(mergeSettings(BASE, BASE)).toEqual(BASE);
  });

  it('may compact a log on disk', () => {
    expect(mergeSettings(BASE, { storage: 'disk', cleanup: 'compact,delete' }).cleanup).toBe(
      'compact,delete',
    );
  });

  it('do not compact a log in memory because that is the default of those on disk', () => {
    const base: TopicSettings = { ...BASE, storage: 'disk', cleanup: 'compact' };
    expect(mergeSettings(base, { storage: 'memory' }).cleanup).toBe('delete');
  });

  it('may leave a log on disk without a bound', () => {
    expect(mergeSettings(BASE, { storage: 'disk', retentionBytes: 0 }).retentionBytes).toBe(0);
  });

  it('need no more copies in sync than there are, because that is the default of those with more', () => {
    const base: TopicSettings = { ...BASE, replicationFactor: 3, minInsync: 2 };
    expect(mergeSettings(base, { replicationFactor: 1 })).toMatchObject({
      replicationFactor: 1,
      minInsync: 1,
    });
    expect(mergeSettings(base, { replicationFactor: 5 }).minInsync).toBe(2);
  });
});

import type { TopicSettings } from '../../src/coordination/coordinator.ts';

const DEFAULTS: TopicSettings = {
  storage: 'memory',
  retentionBytes: 64 * 1024 * 1024,
  retentionMs: 0,
  retentionRecords: 0,
  batchMaxBytes: 1024 * 1024,
  timestamps: 'create',
  flush: 'always',
  flushIntervalMs: 1000,
  cleanup: 'delete',
  tombstoneMs: 86_400_000,
  replicationFactor: 1,
  minInsync: 1,
  uncleanElection: false,
};

/** Settings of a topic in memory that has one copy and 64 MiB of room, unless `changed` says otherwise. */
export function topicSettings(changed: Partial<TopicSettings> = {}): TopicSettings {
  return { ...DEFAULTS, ...changed };
}

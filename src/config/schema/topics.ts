import { z } from 'zod';
import { duration, integer, oneOf, orOff, orWord, size, yesOrNo } from '../kinds.ts';
import { setting } from '../setting.ts';

const MiB = 1024 ** 2;
const TiB = 1024 ** 4;
const DAY_MS = 86_400_000;

/** Topics that nobody configured one by one. */
export const topicsSchema = z.strictObject({
  autoCreate: setting(yesOrNo(), {
    description: 'Create a topic on first use, by a publisher or a subscriber.',
    default: true,
  }),
  maxTopics: setting(integer({ min: 1, max: 1_000_000 }), {
    description: 'Topics at once; one more is refused.',
    default: 10_000,
  }),
  maxPartitions: setting(integer({ min: 1, max: 1_000_000 }), {
    description: 'Partitions of all topics together; one more is refused.',
    default: 4096,
  }),
  defaults: z.strictObject({
    partitions: setting(integer({ min: 1, max: 1024 }), {
      description: 'Partitions of a topic that does not say how many.',
      default: 1,
    }),
    retentionBytes: setting(orOff(size({ min: MiB, max: 64 * TiB })), {
      description: 'Bytes that a partition retains. `off`: no bound; on disk only.',
      default: '64MiB',
    }),
    retentionAge: setting(orOff(duration({ min: 1_000, max: 3_650 * DAY_MS })), {
      description: 'Age from which records are dropped.',
      default: 'off',
    }),
    retentionRecords: setting(orOff(integer({ min: 1, max: 1e12 })), {
      description: 'Records that a partition retains.',
      default: 'off',
    }),
    storage: setting(oneOf(['memory', 'disk']), {
      description: 'Where partitions are kept. `memory` does not survive a restart.',
      default: 'memory',
    }),
    flush: setting(oneOf(['always', 'interval', 'os']), {
      description:
        'When a batch on disk counts as stored. `always`: when it is on the disk, whatever happens then. `interval`: when the operating system has it, and it is synced every `flushInterval`; a crash of the machine loses at most that much. `os`: when the operating system has it; it decides when to write.',
      default: 'always',
    }),
    flushInterval: setting(duration({ min: 10, max: 3_600_000 }), {
      description: 'Time between two syncs with `flush: interval`.',
      default: '1s',
    }),
    cleanup: setting(oneOf(['delete', 'compact', 'compact,delete']), {
      description:
        'What goes from topics on disk. `delete`: what is beyond retention. `compact`: all but the latest record of each key. `compact,delete`: both. In memory always `delete`.',
      default: 'delete',
    }),
    tombstoneRetention: setting(duration({ min: 0, max: 3_650 * DAY_MS }), {
      description: 'Time that compaction keeps the record that deletes a key, so that readers learn of it.',
      default: '24h',
    }),
    replicationFactor: setting(orWord(integer({ min: 1, max: 16 }), 'auto', null), {
      description:
        'Nodes that keep a copy of each partition. `auto`: 3 in a cluster, 1 on a node on its own, which allows no more.',
      default: 'auto',
    }),
    minInsync: setting(orWord(integer({ min: 1, max: 16 }), 'auto', null), {
      description:
        'Replicas, the leader among them, that have to be in sync for a publish that waits for all of them (`acks: all`); with fewer it is refused. `auto`: 2 where there are two copies or more.',
      default: 'auto',
    }),
  }),
});

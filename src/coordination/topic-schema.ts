import { z } from 'zod';

const count = z.int().nonnegative();

/** A topic's definition as it is stored, in a file or in etcd. */
export const topicDefinitionSchema = z.strictObject({
  name: z.string().min(1),
  id: z.string().min(1),
  partitions: z.int().positive(),
  settings: z.strictObject({
    storage: z.enum(['memory', 'disk']),
    retentionBytes: count,
    retentionMs: count,
    retentionRecords: count,
    batchMaxBytes: z.int().positive(),
    timestamps: z.enum(['create', 'append']),
    // Files of versions before there were disk topics have none of these.
    flush: z.enum(['always', 'interval', 'os']).default('always'),
    flushIntervalMs: z.int().positive().default(1000),
    cleanup: z.enum(['delete', 'compact', 'compact,delete']).default('delete'),
    tombstoneMs: count.default(86_400_000),
    // Nor have those of versions before there were clusters.
    replicationFactor: z.int().positive().default(1),
    minInsync: z.int().positive().default(1),
    uncleanElection: z.boolean().default(false),
  }),
  createdMs: count,
});

import { z } from 'zod';
import { duration, integer, oneOf, orOff, size, yesOrNo } from '../kinds.ts';
import { setting } from '../setting.ts';

const MiB = 1024 ** 2;
const TiB = 1024 ** 4;
const DAY_MS = 86_400_000;

/** Topics that nobody configured one by one. */
export const topicsSchema = z.strictObject({
  autoCreate: setting(yesOrNo(), { description: 'Create a topic on first use.', default: true }),
  defaults: z.strictObject({
    partitions: setting(integer({ min: 1, max: 1024 }), {
      description: 'Partitions of a topic that does not say how many.',
      default: 1,
    }),
    retentionBytes: setting(size({ min: MiB, max: 64 * TiB }), {
      description: 'Bytes that a partition retains.',
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
  }),
});

import { z } from 'zod';
import { integer, orWord, size } from '../kinds.ts';
import { setting } from '../setting.ts';

const MiB = 1024 ** 2;
const TiB = 1024 ** 4;

/** The topic `__groups`, where consumer groups and queues keep what must not be forgotten (counts when it is made, at their first use), and bounds. */
export const groupsSchema = z.strictObject({
  partitions: setting(integer({ min: 1, max: 1024 }), {
    description:
      'Partitions of the topic `__groups`, where consumer groups and queues keep their state: over so many nodes their coordination can be spread. Counts when the topic is made, at their first use; it never changes.',
    default: 16,
  }),
  maxQueuePartitions: setting(integer({ min: 1, max: 10_000_000 }), {
    description:
      'Partitions that the queues which a node coordinates may hold together, about 10 KiB each; a new queue beyond it is refused with OVERLOADED. The queues of one topic have at most half of it, but for the first.',
    default: 20_000,
  }),
  maxQueueStateBytes: setting(orWord(size({ min: MiB, max: TiB }), 'auto', null), {
    description:
      'Memory for what the queues which a node coordinates have to remember of records that are leased, delayed or wait behind a key, about 240 bytes for each that is alone in its fate. When it is used up a partition that holds 16 KiB gets nothing new before some of what it holds is done. `auto`: a quarter of the heap that the process may have, 512 MiB at most.',
    default: 'auto',
  }),
  replicationFactor: setting(orWord(integer({ min: 1, max: 16 }), 'auto', null), {
    description: 'Nodes that keep a copy of it. `auto`: 3 in a cluster, 1 on a node on its own.',
    default: 'auto',
  }),
  minInsync: setting(orWord(integer({ min: 1, max: 16 }), 'auto', null), {
    description:
      'Replicas, the leader among them, that have to be in sync for groups and queues to work. `auto`: 2 where there are two copies or more.',
    default: 'auto',
  }),
});

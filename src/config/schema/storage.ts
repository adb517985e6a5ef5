import { z } from 'zod';
import { integer, orWord, size } from '../kinds.ts';
import { setting } from '../setting.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;
const TiB = 1024 * GiB;

/** What all partitions of the node share. */
export const storageSchema = z.strictObject({
  memoryBytes: setting(orWord(size({ min: 16 * MiB, max: 64 * TiB }), 'auto', null), {
    description:
      'Bytes that all topics in memory retain together; beyond it the largest partition drops its oldest records. `auto`: half of the memory that the machine or container has.',
    default: 'auto',
  }),
  tailBytes: setting(size({ min: MiB, max: TiB }), {
    description:
      'Bytes of the newest batches of topics on disk that stay in memory, so that subscribers who keep up cost no reads.',
    default: '64MiB',
  }),
  writeBytes: setting(size({ min: MiB, max: 64 * GiB }), {
    description:
      'Bytes of batches that wait for a slow disk, over all topics; more publishes are refused with OVERLOADED.',
    default: '128MiB',
  }),
  indexCacheBytes: setting(size({ min: 64 * KiB, max: 64 * GiB }), {
    description: 'Bytes of segment indexes that stay in memory.',
    default: '16MiB',
  }),
  openFiles: setting(integer({ min: 16, max: 1_000_000 }), {
    description:
      'Files of old segments that stay open. Each partition on disk has one more, which it appends to.',
    default: 512,
  }),
  segmentBytes: setting(orWord(size({ min: 64 * KiB, max: GiB }), 'auto', null), {
    description:
      'Bytes from which a new segment is begun; retention drops whole segments. `auto`: an eighth of what the partition retains, from 1 MiB to 128 MiB.',
    default: 'auto',
  }),
});

import { setTimeout as pause } from 'node:timers/promises';
import type { ChaosNode } from '../chaos-node.ts';
import type { Fault } from './fault.ts';
import { LONG_MS, followerOf, leaderOf } from './fault.ts';

async function fillDisk(node: ChaosNode, ms: number): Promise<void> {
  await node.fillDisk();
  await pause(ms);
  await node.emptyDisk();
}

/** Disks that are full, or lost. */
export const DISK_FAULTS: readonly Fault[] = [
  { name: 'the disk of the leader is full', happen: async (s) => fillDisk(await leaderOf(s), LONG_MS) },
  { name: 'the disk of a follower is full', happen: async (s) => fillDisk(await followerOf(s), LONG_MS) },
  {
    name: 'a follower comes back with an empty disk',
    happen: async (s) => {
      const node = await followerOf(s);
      await node.kill();
      await pause(LONG_MS);
      await node.loseDisk();
      await node.start();
    },
  },
  {
    name: 'the leader comes back with an empty disk',
    happen: async (s) => {
      const node = await leaderOf(s);
      await node.kill();
      await node.loseDisk();
      await node.start();
    },
  },
];

import { setTimeout as pause } from 'node:timers/promises';
import type { ChaosNode } from '../chaos-node.ts';
import type { Fault } from './fault.ts';
import { LONG_MS, followerOf, leaderOf, onAll } from './fault.ts';

const MINUTE_MS = 60_000;

/** Its clock is wrong for long, and right again. */
async function setClock(node: ChaosNode, offsetMs: number): Promise<void> {
  await node.setClock(offsetMs);
  await pause(LONG_MS);
  await node.setClock(0);
}

/** Wall clocks that are wrong: what has to hold rests on the monotonic one. */
export const CLOCK_FAULTS: readonly Fault[] = [
  {
    name: 'the clock of the leader is ten minutes fast',
    happen: async (s) => setClock(await leaderOf(s), 10 * MINUTE_MS),
  },
  {
    name: 'the clock of the leader is ten minutes slow',
    happen: async (s) => setClock(await leaderOf(s), -10 * MINUTE_MS),
  },
  {
    name: 'the clock of the controller is ten minutes slow',
    happen: async ({ cluster }) => setClock(await cluster.controller(), -10 * MINUTE_MS),
  },
  {
    name: 'the clocks of all nodes are half an hour apart',
    happen: async (s) => {
      const { nodes } = s.cluster;
      await onAll(s, (node) => setClock(node, (nodes.indexOf(node) - 1) * 30 * MINUTE_MS));
    },
  },
  {
    name: 'the clock of the leader is set forth and back again and again',
    happen: async (s) => {
      const node = await leaderOf(s);
      const lostBefore = await node.leasesLost();
      for (let n = 0; n < 3; n++) {
        await node.setClock(MINUTE_MS * (1 + 4 * s.random()));
        await node.setClock(-MINUTE_MS * (1 + 4 * s.random()));
      }
      await node.setClock(0);
      // A lease that rests on the wall clock ends each time; one that does not may end by chance, on a machine that is very busy.
      const lost = (await node.leasesLost()) - lostBefore;
      if (lost > 1)
        throw new Error(`${node.nodeId} has lost its lease ${lost} times while its clock was set`);
    },
  },
  {
    name: 'the clock of the leader goes twice as fast, and that of a follower stands still',
    happen: async (s) => {
      const [leader, follower] = [await leaderOf(s), await followerOf(s)];
      const startMs = performance.now();
      for (let ms = 0; ms < 2 * LONG_MS; ms = performance.now() - startMs) {
        await Promise.all([leader.setClock(ms), follower.setClock(-ms)]);
      }
      await onAll(s, (node) => node.setClock(0));
    },
  },
  {
    name: 'the leader is killed and comes back with a clock that is ten minutes slow',
    happen: async (s) => {
      const node = await leaderOf(s);
      await node.kill();
      await node.setClock(-10 * MINUTE_MS);
      await node.start();
      await s.cluster.untilWhole();
      await node.setClock(0);
    },
  },
];

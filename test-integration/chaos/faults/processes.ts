import { setTimeout as pause } from 'node:timers/promises';
import type { ChaosNode } from '../chaos-node.ts';
import type { Fault } from './fault.ts';
import { LONG_MS, SHORT_MS, followerOf, leaderOf, onAll } from './fault.ts';

async function killAndStart(node: ChaosNode, downMs: number): Promise<void> {
  await node.kill();
  await pause(downMs);
  await node.start();
}

async function freeze(node: ChaosNode, ms: number): Promise<void> {
  await node.freeze();
  await pause(ms);
  await node.thaw();
}

/** Nodes that end, stand still, or get no time. */
export const PROCESS_FAULTS: readonly Fault[] = [
  {
    name: 'the leader is killed and comes back',
    happen: async (s) => killAndStart(await leaderOf(s), LONG_MS),
  },
  {
    name: 'the leader is killed and is back at once',
    happen: async (s) => killAndStart(await leaderOf(s), 0),
  },
  {
    name: 'a follower is killed and comes back',
    happen: async (s) => killAndStart(await followerOf(s), LONG_MS),
  },
  {
    name: 'the controller is killed and comes back',
    happen: async ({ cluster }) => killAndStart(await cluster.controller(), LONG_MS),
  },
  {
    name: 'the leader is stopped in order and started',
    happen: async (s) => {
      const node = await leaderOf(s);
      await node.stop();
      await node.start();
    },
  },
  {
    name: 'one node after the other is stopped and started',
    happen: async ({ cluster }) => {
      for (const node of cluster.nodes) {
        await node.stop();
        await node.start();
        await cluster.untilWhole();
      }
    },
  },
  {
    name: 'two nodes are killed and come back',
    needsDisk: true,
    happen: async ({ cluster }) => {
      await Promise.all(cluster.nodes.slice(1).map((node) => killAndStart(node, SHORT_MS)));
    },
  },
  {
    name: 'all nodes are killed at once',
    needsDisk: true,
    happen: async (s) => onAll(s, (node) => killAndStart(node, SHORT_MS)),
  },
  {
    name: 'the leader is frozen for longer than its lease',
    happen: async (s) => freeze(await leaderOf(s), LONG_MS),
  },
  { name: 'the leader is frozen for a moment', happen: async (s) => freeze(await leaderOf(s), SHORT_MS) },
  { name: 'a follower is frozen', happen: async (s) => freeze(await followerOf(s), LONG_MS) },
  { name: 'all nodes are frozen', happen: async (s) => onAll(s, (node) => freeze(node, LONG_MS)) },
  {
    name: 'the leader has next to no CPU',
    happen: async (s) => {
      const node = await leaderOf(s);
      await node.limitCpu(0.05);
      await pause(LONG_MS);
      await node.limitCpu(2);
    },
  },
];

import { setTimeout as pause } from 'node:timers/promises';
import type { ChaosNode } from '../chaos-node.ts';
import type { Fault, FaultStage } from './fault.ts';
import { LONG_MS, followerOf, leaderOf, onAll } from './fault.ts';

const drop = (side: 'saddr' | 'daddr', addresses: readonly string[]): string[] => [
  `ip ${side} { ${addresses.join(', ')} } drop`,
];
const lose = (share: number): string[] => [`iifname != "lo" numgen random mod 100 < ${share} drop`];

/** Cuts one node from addresses, both ways. */
async function cut(node: ChaosNode, addresses: readonly string[], ms: number): Promise<void> {
  await node.breakNetwork({ in: drop('saddr', addresses), out: drop('daddr', addresses) });
  await pause(ms);
  await node.healNetwork();
}

const peersOf = ({ cluster }: FaultStage, node: ChaosNode): string[] =>
  cluster.others(node).map(({ address }) => address);
const etcdOf = ({ cluster }: FaultStage): string[] => cluster.etcd.map(({ address }) => address);

/** Packets that are lost, late, or go one way only. */
export const NETWORK_FAULTS: readonly Fault[] = [
  {
    name: 'the leader is cut off from everybody',
    happen: async (s) => {
      const node = await leaderOf(s);
      await node.breakNetwork({ in: ['iifname != "lo" drop'], out: ['oifname != "lo" drop'] });
      await pause(LONG_MS);
      await node.healNetwork();
    },
  },
  {
    name: 'the leader is cut off from the other nodes and not from etcd',
    happen: async (s) => {
      const node = await leaderOf(s);
      await cut(node, peersOf(s, node), LONG_MS);
    },
  },
  {
    name: 'the leader and one follower are cut off from each other',
    happen: async (s) => cut(await leaderOf(s), [(await followerOf(s)).address], LONG_MS),
  },
  {
    name: 'the leader hears the others, and they do not hear it',
    happen: async (s) => {
      const node = await leaderOf(s);
      await node.breakNetwork({ out: drop('daddr', peersOf(s, node)) });
      await pause(LONG_MS);
      await node.healNetwork();
    },
  },
  {
    name: 'a follower does not hear the leader, which hears it',
    happen: async (s) => {
      const node = await followerOf(s);
      await node.breakNetwork({ in: drop('saddr', [(await leaderOf(s)).address]) });
      await pause(LONG_MS);
      await node.healNetwork();
    },
  },
  {
    name: 'the leader is cut off from etcd',
    happen: async (s) => cut(await leaderOf(s), etcdOf(s), LONG_MS),
  },
  {
    name: 'a follower is cut off from etcd',
    happen: async (s) => cut(await followerOf(s), etcdOf(s), LONG_MS),
  },
  {
    name: 'the controller is cut off from etcd',
    happen: async (s) => cut(await s.cluster.controller(), etcdOf(s), LONG_MS),
  },
  {
    name: 'clients do not reach the leader',
    happen: async (s) => {
      const node = await leaderOf(s);
      await node.breakNetwork({ in: ['udp dport 7450 drop'] });
      await pause(LONG_MS);
      await node.healNetwork();
    },
  },
  {
    name: 'the way between leader and followers comes and goes',
    happen: async (s) => {
      const node = await leaderOf(s);
      for (let n = 0; n < 6; n++) {
        await cut(node, peersOf(s, node), 200 + 600 * s.random());
        await pause(200 + 300 * s.random());
      }
    },
  },
  {
    name: 'a fifth of all packets is lost everywhere',
    happen: async (s) => {
      await onAll(s, (node) => node.breakNetwork({ in: lose(20) }));
      await pause(LONG_MS);
      await onAll(s, (node) => node.healNetwork());
    },
  },
  {
    name: 'everything between nodes takes 100 ms',
    happen: async (s) => {
      await onAll(s, (node) => node.delay(100));
      await pause(LONG_MS);
      await onAll(s, (node) => node.delay(0));
    },
  },
];

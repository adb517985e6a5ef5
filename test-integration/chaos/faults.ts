import { setTimeout as pause } from 'node:timers/promises';
import type { ChaosCluster } from './chaos-cluster.ts';
import { LEASE_TTL_MS } from './chaos-cluster.ts';
import type { ChaosNode } from './chaos-node.ts';

/** Something that goes wrong, and is right again when {@link Fault.happen} resolves. */
export interface Fault {
  /** Of the scenario, and for `--only`. */
  readonly name: string;
  /** What memory alone does not survive: the copies of all nodes at once. */
  readonly needsDisk?: true;
  /** Happens to a cluster whose topic has its copies in sync. */
  happen(stage: FaultStage): Promise<void>;
}

/** What a fault happens to. */
export interface FaultStage {
  readonly cluster: ChaosCluster;
  /** The topic that is used. */
  readonly topic: string;
  /** A number in [0, 1) of the run's seed. */
  readonly random: () => number;
}

/** Long enough that the lease of who is cut off ends, and another one leads. */
const LONG_MS = LEASE_TTL_MS + 2500;
const SHORT_MS = 1500;

const leaderOf = ({ cluster, topic }: FaultStage): Promise<ChaosNode> => cluster.leader(topic);
const followerOf = async (stage: FaultStage): Promise<ChaosNode> => {
  const [first] = stage.cluster.others(await leaderOf(stage));
  return first!;
};
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

async function onAll(stage: FaultStage, fault: (node: ChaosNode) => Promise<void>): Promise<void> {
  await Promise.all(stage.cluster.nodes.map(fault));
}

const peersOf = ({ cluster }: FaultStage, node: ChaosNode): string[] =>
  cluster.others(node).map(({ address }) => address);
const etcdOf = ({ cluster }: FaultStage): string[] => cluster.etcd.map(({ address }) => address);

const PROCESSES: readonly Fault[] = [
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

const NETWORK: readonly Fault[] = [
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

const ETCD: readonly Fault[] = [
  {
    name: 'a member of etcd is killed and comes back',
    happen: async ({ cluster, random }) => {
      const member = cluster.etcd[Math.floor(random() * cluster.etcd.length)]!;
      await member.kill();
      await pause(LONG_MS);
      await member.start();
    },
  },
  {
    name: 'two members of etcd are killed and come back',
    happen: async ({ cluster }) => {
      const members = cluster.etcd.slice(0, 2);
      await Promise.all(members.map((member) => member.kill()));
      await pause(LONG_MS);
      await Promise.all(members.map((member) => member.start()));
    },
  },
  {
    name: 'etcd is restarted',
    happen: async ({ cluster }) => {
      await Promise.all(cluster.etcd.map((member) => member.kill()));
      await Promise.all(cluster.etcd.map((member) => member.start()));
    },
  },
  {
    name: 'etcd is frozen for longer than the leases',
    happen: async ({ cluster }) => {
      await Promise.all(cluster.etcd.map((member) => member.freeze()));
      await pause(LONG_MS);
      await Promise.all(cluster.etcd.map((member) => member.thaw()));
    },
  },
];

const DISKS: readonly Fault[] = [
  {
    name: 'the disk of the leader is full',
    happen: async (s) => {
      const node = await leaderOf(s);
      await node.fillDisk();
      await pause(LONG_MS);
      await node.emptyDisk();
    },
  },
  {
    name: 'the disk of a follower is full',
    happen: async (s) => {
      const node = await followerOf(s);
      await node.fillDisk();
      await pause(LONG_MS);
      await node.emptyDisk();
    },
  },
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

/** Every kind of fault. */
export const FAULTS: readonly Fault[] = [...PROCESSES, ...NETWORK, ...ETCD, ...DISKS];

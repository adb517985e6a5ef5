import { setTimeout as pause } from 'node:timers/promises';
import type { Fault } from './fault.ts';
import { LONG_MS } from './fault.ts';

/** Members of etcd that end or stand still. */
export const ETCD_FAULTS: readonly Fault[] = [
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

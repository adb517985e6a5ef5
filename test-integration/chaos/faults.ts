import { CLOCK_FAULTS } from './faults/clocks.ts';
import { DISK_FAULTS } from './faults/disks.ts';
import { ETCD_FAULTS } from './faults/etcd.ts';
import type { Fault } from './faults/fault.ts';
import { NETWORK_FAULTS } from './faults/network.ts';
import { PROCESS_FAULTS } from './faults/processes.ts';

/** Every kind of fault. */
export const FAULTS: readonly Fault[] = [
  ...PROCESS_FAULTS,
  ...NETWORK_FAULTS,
  ...ETCD_FAULTS,
  ...DISK_FAULTS,
  ...CLOCK_FAULTS,
];

import { describe, expect, it } from 'vitest';
import type { NodeChange } from '../../src/coordination/cluster.ts';
import type { Unwatch } from '../../src/coordination/coordinator.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { ClusterHealth } from '../../src/node/cluster-health.ts';
import type { Logger } from '../../src/telemetry/logger.ts';
import { member } from './fake-cluster.ts';

/** Keeps the names of events. */
function eventLog(): { events: string[]; log: Logger } {
  const events: string[] = [];
  const note = (evt: string): void => void events.push(evt);
  const log: Logger = { debug: note, info: note, warn: note, error: note, child: () => log };
  return { events, log };
}

class FakeMembership {
  leaseHeld = true;
  lost: (reason: string) => void = () => undefined;
  gained: () => void = () => undefined;
  changed: (change: NodeChange) => void = () => undefined;
  onLeaseLost(listener: (reason: string) => void): Unwatch {
    this.lost = listener;
    return () => undefined;
  }
  onLeaseGained(listener: () => void): Unwatch {
    this.gained = listener;
    return () => undefined;
  }
  watchNodes(listener: (change: NodeChange) => void): Unwatch {
    this.changed = listener;
    return () => undefined;
  }
}

describe('health of a node of a cluster', () => {
  it('is none while the node is no member', () => {
    const { events, log } = eventLog();
    const health = new ClusterHealth(log);
    expect(health.faults()).toHaveLength(1);
    const membership = new FakeMembership();
    health.watch(membership);
    expect(health.faults()).toEqual([]);
    membership.leaseHeld = false;
    membership.lost('too late');
    expect([health.faults().length, health.leasesLost]).toEqual([1, 1]);
    membership.leaseHeld = true;
    membership.gained();
    expect(health.faults()).toEqual([]);
    expect(events).toEqual(['cluster.lease_lost', 'cluster.lease_gained']);
  });

  it('is none while etcd is silent', () => {
    const { events, log } = eventLog();
    const health = new ClusterHealth(log);
    health.watch(new FakeMembership());
    health.onStalled(new SluiceError('UNAVAILABLE', 'etcd cannot be reached'));
    expect([health.faults().length, health.stalls]).toEqual([1, 1]);
    health.onFlowing(false);
    expect(health.faults()).toEqual([]);
    expect(events).toEqual(['cluster.etcd_lost', 'cluster.etcd_back']);
  });

  it('is none while it hands over what it leads', () => {
    const health = new ClusterHealth(eventLog().log);
    health.watch(new FakeMembership());
    health.leave();
    expect(health.faults()).toHaveLength(1);
  });

  it('tells of members that come and go, and of keys nobody can read', () => {
    const { events, log } = eventLog();
    const health = new ClusterHealth(log);
    const membership = new FakeMembership();
    health.watch(membership);
    for (const kind of ['joined', 'altered', 'left'] as const)
      membership.changed({ kind, node: member('b') });
    health.onIgnored('/sluice/main/topics/x', 'not JSON');
    expect(events).toEqual(['cluster.node_joined', 'cluster.node_left', 'cluster.key_ignored']);
    expect(health.ignoredKeys).toBe(1);
  });
});

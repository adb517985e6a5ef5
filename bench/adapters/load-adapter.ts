import type { Adapter, SystemName } from './adapter.ts';

/** The adapter of a system; loaded on demand, so that a worker loads one client library only. */
export async function adapterOf(system: SystemName): Promise<Adapter> {
  switch (system) {
    case 'sluice':
      return (await import('./sluice.ts')).sluice;
    case 'nats':
      return (await import('./nats.ts')).nats;
    case 'redis':
      return (await import('./redis.ts')).redis;
    case 'mosquitto':
      return (await import('./mosquitto.ts')).mosquitto;
  }
}

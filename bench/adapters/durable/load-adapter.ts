import type { DurableAdapter, DurableSystem } from './adapter.ts';

/** The adapter of a system; loaded on demand, so that a worker loads one client library only. */
export async function durableAdapterOf(system: DurableSystem): Promise<DurableAdapter> {
  switch (system) {
    case 'sluice-always':
    case 'sluice-interval':
      return (await import('./sluice.ts')).sluice;
    case 'jetstream':
      return (await import('./jetstream.ts')).jetstream;
    case 'redis-always':
    case 'redis-everysec':
      return (await import('./redis-streams.ts')).redisStreams;
    case 'rabbitmq':
      return (await import('./rabbitmq.ts')).rabbitmq;
  }
}

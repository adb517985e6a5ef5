import type { Cluster } from '../../coordination/cluster.ts';
import { forgetSources } from '../../observers/observer-counters.ts';
import type { Observers } from '../../observers/observers.ts';
import type { LocalServices } from '../../peer/local-services.ts';
import type { Metrics, Sample } from '../../telemetry/metrics.ts';

/** What is shown of copies for readers. */
export interface ObserverSources {
  readonly observers: Pick<Observers, 'counters' | 'partitions' | 'retainedBytes'>;
  readonly services: { readonly copies: Pick<LocalServices['copies'], 'relays'> };
}

/** Whose bytes are shown. */
interface Members {
  readonly coordinator: { readonly cluster: Pick<Cluster, 'nodes'> };
}

/** Copies that this node keeps for readers of what it is no replica of: how many, from where they are fed, how far they are behind. */
export function registerObservers(metrics: Metrics, sources: ObserverSources & Members): void {
  const { observers, services } = sources;
  registerCopies(metrics, observers);
  registerFeeds(metrics, sources);
  metrics.counterFrom(
    'sluice_observer_relayed_bytes_total',
    'Bytes of batches that copies for readers here have given to those of other nodes.',
    () => services.copies.relays.bytes,
  );
}

function registerCopies(metrics: Metrics, observers: ObserverSources['observers']): void {
  const { counters } = observers;
  metrics.gaugesFrom(
    'sluice_observer_copies',
    'Copies that this node keeps for readers, by what feeds them: a replica, or an observer of the same zone.',
    ['from'],
    () => countCopies(observers),
  );
  metrics.gaugeFrom('sluice_observer_readers', 'Readers open in copies for readers.', () =>
    [...observers.partitions()].reduce((sum, { readers }) => sum + readers, 0),
  );
  metrics.gaugeFrom(
    'sluice_observer_retained_bytes',
    'Bytes that copies for readers keep in memory.',
    () => observers.retainedBytes,
  );
  metrics.gaugeFrom(
    'sluice_observer_lag_records',
    'Records that a copy for readers lacks of what its source has said to have, in the copy that is furthest behind.',
    () => most(observers, ({ lag }) => lag.records),
  );
  metrics.gaugeFrom(
    'sluice_observer_lag_seconds',
    'How long ago the copy for readers in which that is longest ago had all that there was.',
    () => most(observers, ({ lag }) => lag.ms / 1000),
  );
  metrics.counterFrom('sluice_observer_opened_total', 'Copies for readers opened.', () => counters.opened);
}

function registerFeeds(metrics: Metrics, { observers, coordinator }: ObserverSources & Members): void {
  const { counters } = observers;
  metrics.countersFrom(
    'sluice_observer_bytes_total',
    'Bytes of batches read from other nodes for readers here, by node and its zone: new ones, or older ones for who is behind.',
    ['node', 'zone', 'records'],
    () => {
      forgetSources(counters, new Set(coordinator.cluster.nodes().map(({ nodeId }) => nodeId)));
      return bytesBySource(counters);
    },
  );
  metrics.counterFrom(
    'sluice_observer_failures_total',
    'Reads from other nodes for readers here that failed or brought nothing usable, and were tried again.',
    () => counters.failures,
  );
  metrics.counterFrom(
    'sluice_observer_truncations_total',
    'Times that copies for readers went back behind what they had, because the leader has something else there.',
    () => counters.truncations,
  );
  metrics.counterFrom(
    'sluice_observer_restarts_total',
    'Times that copies for readers began anew, because their source keeps nothing of what came next.',
    () => counters.restarts,
  );
}

function countCopies(observers: ObserverSources['observers']): Sample[] {
  const counts = { replica: 0, observer: 0 };
  for (const { isChained } of observers.partitions()) counts[isChained ? 'observer' : 'replica'] += 1;
  return Object.entries(counts).map(([from, value]) => ({ labels: { from }, value }));
}

function* bytesBySource({ sources }: Observers['counters']): Iterable<Sample> {
  for (const { node, zone, feed, older } of sources.values()) {
    yield { labels: { node, zone, records: 'new' }, value: feed };
    yield { labels: { node, zone, records: 'older' }, value: older };
  }
}

type Copy = ReturnType<ObserverSources['observers']['partitions']> extends Iterable<infer T> ? T : never;

function most(observers: ObserverSources['observers'], valueOf: (copy: Copy) => number): number {
  return Math.max(0, ...[...observers.partitions()].map(valueOf));
}

import { expect, it } from 'vitest';
import { registerPeers } from '../../../src/node/metrics/peer-metrics.ts';
import { LocalServices } from '../../../src/peer/local-services.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { shown } from './shown.ts';

it('of other nodes show what was handed over, both ways', async () => {
  const services = new LocalServices({ clock: new FakeClock(), find: () => undefined }, undefined as never);
  const publish = { topicId: 't1', partition: 0, leaderEpoch: 1, acks: 1, batch: Buffer.alloc(40) } as const;
  services.forwards.forward(publish, () => undefined);
  const counters = { publishes: 5, bytes: 600, messages: 2, overloaded: 1 };
  const peers = {
    client: { connections: 2, forwardBytes: 70, counters },
    certificates: { notAfterMs: 9000 },
  };
  const metrics = createMetrics();
  registerPeers(metrics, { peers, services });
  expect(await shown(metrics)).toEqual([
    'peer_certificate_not_after_seconds 9',
    'peer_connections 2',
    'peer_followers 0',
    'peer_forward_bytes 70',
    'peer_forwards_total 5',
    'peer_forwarded_bytes_total 600',
    'peer_forwards_overloaded_total 1',
    'peer_forwards_received_total 1',
    'peer_received_bytes_total 40',
    'peer_forwards_refused_total 1',
  ]);
});

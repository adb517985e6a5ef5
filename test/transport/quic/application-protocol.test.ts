import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemRandom } from '../../../src/kernel/random.ts';
import { systemClock } from '../../../src/kernel/system-clock.ts';
import { echoStreams, roundTrip } from '../../support/transport-streams.ts';
import { quicStage } from './quic-stage.ts';

const stage = quicStage();
beforeEach(() => stage.open());
afterEach(async () => {
  vi.doUnmock('../../../src/transport/transport.ts');
  await stage.close();
});

describe('QUIC client that speaks another protocol', () => {
  it('is refused with VERSION_MISMATCH, and the others are served', async () => {
    const listener = await stage.listen({}, echoStreams);
    vi.resetModules();
    vi.doMock('../../../src/transport/transport.ts', () => ({ ALPN: 'other/1' }));
    const { createQuicTransport } = await import('../../../src/transport/quic/quic-transport.ts');
    const stranger = createQuicTransport({ clock: systemClock, random: systemRandom }).connect({
      host: '127.0.0.1',
      port: listener.port,
      serverName: undefined,
      authoritiesPem: stage.credentials.authorityPem,
      identity: undefined,
      limits: stage.limits(),
      signal: undefined,
    });
    await expect(stranger).rejects.toMatchObject({ code: 'VERSION_MISMATCH' });
    expect(await roundTrip(await stage.connect(listener), 'served')).toBe('served');
  });
});

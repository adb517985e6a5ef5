import { systemClock } from '../../../src/kernel/system-clock.ts';
import { systemRandom } from '../../../src/kernel/random.ts';
import { createQuicTransport } from '../../../src/transport/quic/quic-transport.ts';
import { makeAuthority } from '../../support/certificates.ts';
import { describeTransport } from '../../support/transport-contract.ts';

describeTransport('quic', {
  create: () => createQuicTransport({ clock: systemClock, random: systemRandom }),
  credentials: async () => {
    const authority = await makeAuthority();
    const stranger = await makeAuthority('stranger');
    const server = { names: ['localhost'], ips: ['127.0.0.1'] };
    return {
      authorityPem: authority.certificatePem,
      server: await authority.issue(server),
      otherServer: await authority.issue(server),
      client: await authority.issue({ commonName: 'client', client: true }),
      strangerPem: stranger.certificatePem,
    };
  },
  datagrams: true,
  verifies: true,
});

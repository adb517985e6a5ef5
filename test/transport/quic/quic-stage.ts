import { afterEach, beforeEach } from 'vitest';
import { systemRandom } from '../../../src/kernel/random.ts';
import { systemClock } from '../../../src/kernel/system-clock.ts';
import { createQuicTransport } from '../../../src/transport/quic/quic-transport.ts';
import type { QuicTransportOptions } from '../../../src/transport/quic/quic-transport.ts';
import type { TlsIdentity, Transport } from '../../../src/transport/transport.ts';
import type { Authority, IssueOptions } from '../../support/certificates.ts';
import { makeAuthority } from '../../support/certificates.ts';
import type { ContractCredentials } from '../../support/transport-stage.ts';
import { TransportStage } from '../../support/transport-stage.ts';
import { UdpRelay } from './udp-relay.ts';

/** Names of the test server. */
export const SERVER_NAMES: IssueOptions = { names: ['localhost'], ips: ['127.0.0.1', '::1'] };

/** The QUIC transport on the machine's own clock and randomness. */
export function quicTransport(options: Partial<QuicTransportOptions> = {}): Transport {
  return createQuicTransport({ clock: systemClock, random: systemRandom, ...options });
}

/** Credentials that verify. */
export async function quicCredentials(): Promise<ContractCredentials> {
  const authority = await makeAuthority();
  const stranger = await makeAuthority('stranger');
  return {
    authorityPem: authority.certificatePem,
    server: await authority.issue(SERVER_NAMES),
    otherServer: await authority.issue(SERVER_NAMES),
    client: await authority.issue({ commonName: 'client', client: true }),
    strangerPem: stranger.certificatePem,
  };
}

/** A stage of the contract for tests of QUIC alone. */
export function quicStage(options: Partial<QuicTransportOptions> = {}): TransportStage {
  return new TransportStage({
    create: () => quicTransport(options),
    credentials: quicCredentials,
    datagrams: true,
    verifies: true,
  });
}

/** A stage that is open during each test of a file, or of a `describe`, and relays to its listeners that end with it. */
export function relayedStage(options: Partial<QuicTransportOptions> = {}): {
  readonly stage: TransportStage;
  readonly relayTo: (listener: { readonly port: number }) => Promise<UdpRelay>;
} {
  const stage = quicStage(options);
  const relays: UdpRelay[] = [];
  beforeEach(() => stage.open());
  afterEach(async () => {
    await stage.close();
    for (const relay of relays.splice(0)) relay.close();
  });
  const relayTo = async ({ port }: { readonly port: number }): Promise<UdpRelay> => {
    const relay = await UdpRelay.open(port);
    relays.push(relay);
    return relay;
  };
  return { stage, relayTo };
}

/** An authority with one certificate of it. */
export async function issued(
  options: IssueOptions,
): Promise<{ authority: Authority; identity: TlsIdentity }> {
  const authority = await makeAuthority();
  return { authority, identity: await authority.issue(options) };
}

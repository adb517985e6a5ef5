import { beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_LIMITS } from '../../../src/transport/limits.ts';
import { makeConfig } from '../../../src/transport/quic/config.ts';
import { CID_BYTES, quiche } from '../../../src/transport/quic/native.ts';
import type { TlsIdentity } from '../../../src/transport/transport.ts';
import { pattern } from '../../support/transport-streams.ts';
import { SERVER_NAMES, issued } from './quic-stage.ts';

const HERE = { host: '127.0.0.1', port: 4433 };
const THERE = { host: '127.0.0.1', port: 4434 };
const LONGEST_TOKEN = 2n ** 128n - 1n;

describe('transport parameters', () => {
  let identity: TlsIdentity;
  beforeAll(async () => {
    ({ identity } = await issued(SERVER_NAMES));
  });

  it.each([8, 16, 20])('have room in quiche when the client chose an id of %i bytes', (originalBytes) => {
    const tls = {
      side: 'server',
      authoritiesPem: undefined,
      requireCertificate: false,
      identity,
      ticketKey: undefined,
    } as const;
    const limits = { ...DEFAULT_LIMITS, maxStreams: 100_000, idleTimeoutMs: 3_600_000 };
    const config = makeConfig(limits, tls, 1350, { maxAckDelayMs: 2 });
    config.setStatelessResetToken(LONGEST_TOKEN);
    const accept = (): unknown =>
      quiche.Connection.accept(pattern(CID_BYTES), pattern(originalBytes), HERE, THERE, config);
    expect(accept).not.toThrow();
  });
});

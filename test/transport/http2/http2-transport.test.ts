import { systemClock } from '../../../src/kernel/system-clock.ts';
import { createHttp2Transport } from '../../../src/transport/http2/http2-transport.ts';
import { tlsCredentials } from '../../support/transport-stage.ts';
import { describeTransport } from '../../support/transport-contract.ts';

describeTransport('http2', {
  create: () => createHttp2Transport({ clock: systemClock }),
  credentials: tlsCredentials,
  datagrams: false,
  verifies: true,
});

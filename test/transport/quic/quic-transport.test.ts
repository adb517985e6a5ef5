import { describeTransport } from '../../support/transport-contract.ts';
import { quicCredentials, quicTransport } from './quic-stage.ts';

describeTransport('quic', {
  create: () => quicTransport(),
  credentials: quicCredentials,
  datagrams: true,
  verifies: true,
});

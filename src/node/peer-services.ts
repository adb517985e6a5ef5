import { SluiceError } from '../kernel/errors.ts';
import type { PeerServices } from '../peer/ports.ts';

/** What a node does for the others that has no replicas: it says that it leads nothing. */
export function withoutReplicas(): PeerServices {
  const refusal = (): SluiceError => new SluiceError('NOT_LEADER', 'this node leads nothing');
  return {
    replication: {
      fetch: (_, { sessionId, sequence }) =>
        Promise.resolve({ sessionId, sequence, error: 'UNAVAILABLE', partitions: [] }),
      forget: () => undefined,
    },
    forwards: { forward: (_from, _publish, done) => done(refusal()) },
    partitions: {
      describe: (partitions) => partitions.map(refusal),
      listOffsets: (partitions) => Promise.resolve(partitions.map(refusal)),
      deleteRecords: (partitions) => Promise.resolve(partitions.map(refusal)),
    },
    copies: {
      read: () => Promise.reject(new SluiceError('PARTITION_NOT_FOUND', 'this node has no copies')),
    },
  };
}

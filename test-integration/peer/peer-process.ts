/**
 * A node that answers fetches and publishes, in a process of its own, so that it can be frozen and killed. Reads one order from
 * standard input, writes its port, and, when the order names another node, keeps fetching from that one.
 */
import { createInterface } from 'node:readline';
import { systemRandom } from '../../src/kernel/random.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { systemClock } from '../../src/kernel/system-clock.ts';
import { PeerClient } from '../../src/peer/peer-client.ts';
import { PeerServer } from '../../src/peer/peer-server.ts';
import { DEFAULT_PEER_SETTINGS } from '../../src/peer/peer-settings.ts';
import type { PeerServices } from '../../src/peer/ports.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import type { GrpcTls } from '../../src/transport/grpc/grpc-tls.ts';

/** What the process is to do. */
export interface PeerOrder {
  readonly tls: GrpcTls;
  /** Address of node `a`, to fetch from. */
  readonly fetchFrom: string | undefined;
}

/** Everything succeeds at once. */
export const AGREEABLE: PeerServices = {
  replication: {
    fetch: (_, { sessionId, sequence }) => Promise.resolve({ sessionId, sequence, partitions: [] }),
    forget: () => undefined,
  },
  forwards: { forward: (_, done) => done({ kind: 'appended', baseOffset: 0, appendTimeMs: 0 }) },
  partitions: {
    describe: () => [],
    listOffsets: () => Promise.resolve([]),
    deleteRecords: () => Promise.resolve([]),
  },
  copies: { read: () => Promise.reject(new SluiceError('UNSUPPORTED', 'not here')) },
  groups: { coordinate: () => Promise.reject(new SluiceError('UNSUPPORTED', 'not here')) },
};

if (process.argv[2] === 'run') await run();

async function run(): Promise<void> {
  const common = { cluster: 'main', settings: DEFAULT_PEER_SETTINGS, clock: systemClock };
  for await (const line of createInterface({ input: process.stdin })) {
    const { tls, fetchFrom } = JSON.parse(line) as PeerOrder;
    const server = await PeerServer.listen(
      { ...common, tls, host: '127.0.0.1', port: 0, log: silentLogger },
      AGREEABLE,
    );
    console.log(server.port);
    if (fetchFrom !== undefined) void fetchForEver(common, tls, fetchFrom);
  }
}

async function fetchForEver(
  common: { cluster: string; settings: typeof DEFAULT_PEER_SETTINGS; clock: typeof systemClock },
  tls: GrpcTls,
  address: string,
): Promise<void> {
  const client = new PeerClient({
    ...{ ...common, tls, random: systemRandom, log: silentLogger },
    addressOf: () => address,
  });
  const request = { sessionId: 0, received: -1, changed: [], forgotten: [], maxBytes: 1024, maxWaitMs: 100 };
  for (let sequence = 0; ; sequence += 1) {
    await client.fetch('a', { ...request, sequence }).catch(() => undefined);
    await new Promise((resolve) => systemClock.setTimer(50, () => resolve(undefined)));
  }
}

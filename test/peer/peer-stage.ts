import { systemRandom } from '../../src/kernel/random.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { FetchRequest, FetchResponse } from '../../src/partition/replication.ts';
import { PeerClient } from '../../src/peer/peer-client.ts';
import { PeerServer } from '../../src/peer/peer-server.ts';
import type { PeerSettings } from '../../src/peer/peer-settings.ts';
import { DEFAULT_PEER_SETTINGS } from '../../src/peer/peer-settings.ts';
import type {
  ForwardCallback,
  ForwardOutcome,
  ForwardedPublish,
  PeerServices,
} from '../../src/peer/ports.ts';
import type { Logger } from '../../src/telemetry/logger.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import type { GrpcTls } from '../../src/transport/grpc/grpc-tls.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { NodeAuthority } from '../support/node-certificates.ts';

/** One authority for all tests of a file: making keys takes time. */
export const authority = await NodeAuthority.create();
export const tlsOfA = await authority.tls('a');
export const tlsOfB = await authority.tls('b');

/** What can carry streams between nodes. */
export const CARRIERS: readonly PeerSettings['streams'][] = ['bulk', 'grpc'];

/** What may differ from node `a` asking node `b`, both of the cluster `main`. */
export interface StageOptions {
  readonly clientTls?: GrpcTls;
  readonly serverTls?: GrpcTls;
  readonly services?: Partial<PeerServices>;
  readonly settings?: Partial<PeerSettings>;
  /** Of `b`. */
  readonly log?: Logger;
  /** Where `b` is; default where the server listens. */
  readonly address?: string;
}

/** A node that asks and one that answers. */
export interface PeerStage extends AsyncDisposable {
  readonly clock: FakeClock;
  readonly client: PeerClient;
  readonly server: PeerServer;
  readonly settings: PeerSettings;
}

/** The client's clock is fake, so that no deadline passes unless the test says so. */
export async function startPeers(options: StageOptions = {}): Promise<PeerStage> {
  const { clientTls = tlsOfA, serverTls = tlsOfB, log = silentLogger } = options;
  const settings = { ...DEFAULT_PEER_SETTINGS, ...options.settings };
  const clock = new FakeClock();
  const server = await PeerServer.listen(
    { host: '127.0.0.1', port: 0, cluster: 'main', tls: serverTls, settings, clock, log },
    { ...NO_SERVICES, ...options.services },
  );
  const address = options.address ?? `127.0.0.1:${server.port}`;
  const client = openClient({ settings, clock }, clientTls, address);
  return {
    ...{ clock, client, server, settings },
    [Symbol.asyncDispose]: async () => {
      client.close();
      const closed = server.close(1);
      clock.advance(1);
      await closed;
    },
  };
}

/** Another node that knows where `b` is. */
export function openClient(
  { settings, clock }: Pick<PeerStage, 'settings' | 'clock'>,
  tls: GrpcTls,
  address: string,
  log = silentLogger,
): PeerClient {
  return new PeerClient({
    ...{ cluster: 'main', tls, settings, clock, random: systemRandom, log },
    addressOf: (nodeId) => (nodeId === 'b' ? address : undefined),
  });
}

const refused = () => new SluiceError('UNSUPPORTED', 'not in this test');

const NO_SERVICES: PeerServices = {
  replication: { fetch: () => Promise.reject(refused()), forget: () => undefined },
  forwards: { forward: (_, done) => done(refused()) },
  partitions: {
    describe: () => [],
    listOffsets: () => Promise.resolve([]),
    deleteRecords: () => Promise.resolve([]),
  },
  copies: { read: () => Promise.reject(refused()) },
  groups: { coordinate: () => Promise.reject(refused()) },
};

/** A request with little in it. */
export function fetchRequest(request: Partial<FetchRequest> = {}): FetchRequest {
  return {
    ...{ sessionId: 0, sequence: 0, received: -1, changed: [], forgotten: [] },
    ...{ maxBytes: 1024 * 1024, maxWaitMs: 500, ...request },
  };
}

/** An answer with nothing in it. */
export function emptyAnswer({ sessionId, sequence }: FetchRequest): FetchResponse {
  return { sessionId, sequence, partitions: [] };
}

/** A publish with little said about it. */
export function publishOf(publish: Partial<ForwardedPublish> = {}): ForwardedPublish {
  return { topicId: 't', partition: 0, leaderEpoch: 1, acks: 2, batch: Buffer.from('batch'), ...publish };
}

/** Forwards to `b`. @throws what it is answered */
export function forward(client: PeerClient, publish: ForwardedPublish): Promise<ForwardOutcome> {
  return new Promise((resolve, reject: (error: SluiceError) => void) => {
    const done: ForwardCallback = (answer) => {
      if (answer instanceof SluiceError) reject(answer);
      else resolve(answer);
    };
    client.forward('b', publish, done);
  });
}

/** A promise and the ways to settle it. */
export function later<T>(): PromiseWithResolvers<T> {
  return Promise.withResolvers<T>();
}

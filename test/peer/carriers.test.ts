import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PeerClient } from '../../src/peer/peer-client.ts';
import { TcpRelay } from '../support/tcp-relay.ts';
import { turns } from '../support/turns.ts';
import type { PeerStage } from './peer-stage.ts';
import {
  CARRIERS,
  emptyAnswer,
  fetchRequest,
  forward,
  openClient,
  publishOf,
  startPeers,
  tlsOfA,
} from './peer-stage.ts';

const STORED = { kind: 'appended', baseOffset: 5, appendTimeMs: 0 } as const;
/** A connection for calls, and with `bulk` one each for fetching and forwarding. */
const CONNECTIONS = { bulk: 3, grpc: 1 };

describe.each(CARRIERS)('streams between nodes, carried by %s', (carrier) => {
  let stage: PeerStage;
  let relay: TcpRelay;
  let client: PeerClient;
  beforeEach(async () => {
    stage = await startPeers({
      settings: { streams: carrier },
      services: {
        replication: {
          fetch: (_, request) => Promise.resolve(emptyAnswer(request)),
          forget: () => undefined,
        },
        forwards: { forward: (_, done) => done(STORED) },
      },
    });
    relay = await TcpRelay.listen(stage.server.port);
    client = openClient(stage, tlsOfA, `127.0.0.1:${relay.port}`);
  });
  afterEach(async () => {
    client.close();
    relay.close();
    await stage[Symbol.asyncDispose]();
  });

  const connections = () => relay.open.size / 2;

  /** Everything that is asked of another node is asked, and answered. */
  async function askAll(): Promise<void> {
    await client.describePartitions('b', []);
    await client.fetch('b', fetchRequest());
    await forward(client, publishOf());
  }

  it('have as many connections as it takes, and keep them', async () => {
    await askAll();
    await askAll();
    expect(connections()).toBe(CONNECTIONS[carrier]);
    expect(client.connections).toBe(1);
  });

  it('leave no connection to a node that is no member any more', async () => {
    await askAll();
    client.left('b');
    while (relay.open.size > 0) await turns(1);
    expect(client.connections).toBe(0);
  });

  it.each(Array.from({ length: CONNECTIONS[carrier] }, (_, n) => n))(
    'end together when connection %i of them is lost',
    async (which) => {
      await askAll();
      // Each has a socket at either side of the relay.
      [...relay.open][2 * which]!.resetAndDestroy();
      while (client.connections > 0) await turns(1);
      await expect(client.fetch('b', fetchRequest())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      while (relay.open.size > 0) await turns(1);
      stage.clock.advance(stage.settings.reconnect.minMs);
      await askAll();
      expect(connections()).toBe(CONNECTIONS[carrier]);
    },
  );
});

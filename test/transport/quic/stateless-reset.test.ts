import { describe, expect, it } from 'vitest';
import { errorCodeFromWire } from '../../../src/kernel/errors.ts';
import { systemRandom } from '../../../src/kernel/random.ts';
import { CID_BYTES } from '../../../src/transport/quic/native.ts';
import { ResetTokens, deservesReset, resetFor } from '../../../src/transport/quic/stateless-reset.ts';
import type { Connection } from '../../../src/transport/transport.ts';
import { closeOf, echoStreams, pattern, roundTrip } from '../../support/transport-streams.ts';
import { quicTransport, relayedStage } from './quic-stage.ts';
import type { UdpRelay } from './udp-relay.ts';

const KEY = Buffer.alloc(32, 7);
const CID = pattern(CID_BYTES, 3);

/** A packet with a short header for the connection `CID`. */
function packetOf(length: number): Buffer {
  return Buffer.concat([Buffer.from([0x41]), CID, pattern(length)]).subarray(0, length);
}

describe('reset tokens', () => {
  it('are HMAC-SHA-256 over the connection id, cut to 16 bytes', () => {
    expect(new ResetTokens(KEY).of(CID).toString('hex')).toBe('998f7c4ea1d9f817caeeed5a99e2a6b3');
  });

  it('differ with the connection id and with the key', () => {
    const tokens = [
      new ResetTokens(KEY).of(CID),
      new ResetTokens(KEY).of(pattern(CID_BYTES, 4)),
      new ResetTokens(Buffer.alloc(32, 8)).of(CID),
    ];
    expect(new Set(tokens.map((token) => token.toString('hex'))).size).toBe(3);
  });

  it('are the same as numbers, leading zeros aside', () => {
    const tokens = new ResetTokens(KEY);
    expect(tokens.numberOf(CID).toString(16).padStart(32, '0')).toBe(tokens.of(CID).toString('hex'));
  });
});

describe('stateless reset', () => {
  const tokens = new ResetTokens(KEY);

  it('ends with the token of the id that the packet was for', () => {
    expect(resetFor(packetOf(100), tokens, systemRandom).subarray(-16)).toEqual(tokens.of(CID));
  });

  it('looks like a packet with a short header', () => {
    const firstBytes = Array.from({ length: 64 }, () => resetFor(packetOf(100), tokens, systemRandom)[0]!);
    expect(new Set(firstBytes.map((byte) => byte & 0xc0))).toEqual(new Set([0x40]));
  });

  it('is not the same twice', () => {
    const [one, other] = [1, 2].map(() => resetFor(packetOf(100), tokens, systemRandom).toString('hex'));
    expect(one).not.toBe(other);
  });

  it('answers the shortest packet that a client sends, and is shorter', () => {
    const shortest = packetOf(30);
    expect([deservesReset(shortest), resetFor(shortest, tokens, systemRandom).length]).toEqual([true, 29]);
  });

  it('is not answered with another', () => {
    expect(deservesReset(resetFor(packetOf(1200), tokens, systemRandom))).toBe(false);
  });

  it.each([
    ['a long header', 0xc1],
    ['no fixed bit', 0x01],
  ])('is no answer to %s', (_what, firstByte) => {
    const packet = packetOf(1200);
    packet[0] = firstByte;
    expect(deservesReset(packet)).toBe(false);
  });
});

describe('a server that forgot its connections and listens again', () => {
  const { stage, relayTo } = relayedStage({ resetKey: KEY });

  /** A client behind a relay whose server goes without a word, and another server in its place. */
  async function restarted(keepAliveMs: number, keyAfterwards: Buffer): Promise<Restarted> {
    const listener = await stage.listen({}, echoStreams);
    const relay = await relayTo(listener);
    const client = await stage.connect({ port: relay.port }, { limits: stage.limits({ keepAliveMs }) });
    const closed = closeOf(client);
    await roundTrip(client, 'before');
    relay.drop = () => true;
    await listener.close();
    // The old server's last words go to a port that is closed now.
    await relay.rebind();
    stage.transport = quicTransport({ resetKey: keyAfterwards });
    await stage.listen({ port: listener.port });
    relay.drop = () => false;
    return { client, closed, relay };
  }

  interface Restarted {
    readonly client: Connection;
    readonly closed: ReturnType<typeof closeOf>;
    readonly relay: UdpRelay;
  }

  const SOON = { timeout: 3_000 };

  it('ends the connection of a client that only keeps it alive', SOON, async () => {
    const { closed } = await restarted(50, KEY);
    const { errorCode, by } = await closed;
    expect([errorCodeFromWire(errorCode), by]).toEqual(['UNAVAILABLE', 'transport']);
  });

  it('ends the connection of a client that sends', SOON, async () => {
    const { client, closed } = await restarted(0, KEY);
    client.openUni().write(Buffer.from('anybody there?'));
    expect((await closed).by).toBe('transport');
  });

  it('is not believed with another key', SOON, async () => {
    const { client, closed, relay } = await restarted(20, Buffer.alloc(32, 9));
    let open = true;
    void closed.then(() => (open = false));
    await passed(relay, 'to-client', 3);
    // A client that believed the first would have sent nothing that the others answer.
    client.openUni().write(Buffer.from('still trying'));
    await passed(relay, 'to-server', 1);
    expect(open).toBe(true);
  });

  it('is not believed when somebody makes its answer up', async () => {
    const listener = await stage.listen({}, echoStreams);
    const relay = await relayTo(listener);
    const client = await stage.connect({ port: relay.port });
    const strangers = new ResetTokens(Buffer.alloc(32, 9));
    for (let i = 0; i < 100; i += 1) relay.injectToClient(resetFor(packetOf(100), strangers, systemRandom));
    expect(await roundTrip(client, 'still here')).toBe('still here');
  });
});

/** Resolves when `count` more packets have passed. */
function passed(relay: UdpRelay, direction: 'to-client' | 'to-server', count: number): Promise<void> {
  return new Promise((resolve) => {
    let left = count;
    relay.drop = (which) => {
      if (which === direction && (left -= 1) === 0) resolve();
      return false;
    };
  });
}

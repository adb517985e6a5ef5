import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import type { Connection } from '../../../src/transport/transport.ts';
import { echoStreams, pattern, roundTrip } from '../../support/transport-streams.ts';
import { relayedStage } from './quic-stage.ts';
import type { UdpRelay } from './udp-relay.ts';
import { bound, inPortions } from './udp-relay.ts';

const MiB = 1024 * 1024;
const { stage, relayTo } = relayedStage();

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes this process holds after everything unreachable is gone. */
async function heldBytes(): Promise<number> {
  // Memory outside the heap goes with the finalizers, which run between turns.
  for (let i = 0; i < 3; i += 1) {
    collectGarbage();
    await nextTurn();
  }
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + external + arrayBuffers;
}

/** A connection through a relay that knows every packet of it, with some traffic behind it. */
async function recorded(): Promise<{ client: Connection; relay: UdpRelay; serverPort: number }> {
  const listener = await stage.listen({}, echoStreams);
  const relay = await relayTo(listener);
  relay.recording = true;
  const client = await stage.connect({ port: relay.port });
  for (let i = 0; i < 20; i += 1) await roundTrip(client, 'x'.repeat(i * 500));
  relay.recording = false;
  return { client, relay, serverPort: listener.port };
}

/** A reproducible source of numbers below `limit`. */
function numbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** A packet as an attacker on the path makes one out of others: cut, flipped, glued, replayed, or of nothing at all. */
function mutated(packets: readonly Buffer[], next: (limit: number) => number): Buffer {
  const packet = Buffer.from(packets[next(packets.length)]!);
  switch (next(6)) {
    case 0:
      return packet.subarray(0, next(packet.length + 1));
    case 1:
      return Buffer.concat([packet, packets[next(packets.length)]!]).subarray(0, 2000);
    case 2:
      return packet;
    case 3:
      return randomPacket(next);
    default:
      for (let flips = 1 + next(4); flips > 0 && packet.length > 0; flips -= 1) {
        // Headers are where parsers err.
        const at = next(2) === 0 ? next(Math.min(packet.length, 64)) : next(packet.length);
        packet[at] = packet[at]! ^ (1 << next(8));
      }
      return packet;
  }
}

function randomPacket(next: (limit: number) => number): Buffer {
  const packet = pattern(next(1500), next(2 ** 31));
  if (packet.length < 10) return packet;
  packet[0] = 0x80 | next(128);
  if (next(3) > 0) packet.writeUInt32BE(1, 1);
  packet[5] = next(24);
  return packet;
}

describe('hostile packets', () => {
  it(
    'neither end a listener nor disturb its connections, from any address',
    { timeout: 60_000 },
    async () => {
      const { client, relay, serverPort } = await recorded();
      const attacker = await bound();
      const next = numbers(1);
      const packets = relay.packets.map(({ bytes }) => bytes);
      await inPortions(60_000, (i) => {
        const packet = mutated(packets, next);
        if (i % 2 === 0) attacker.send(packet, serverPort, '127.0.0.1');
        else relay.inject(packet);
      });
      attacker.close();
      expect(await roundTrip(client, 'still here')).toBe('still here');
    },
  );

  it('do not disturb a client', { timeout: 60_000 }, async () => {
    const { client, relay } = await recorded();
    const next = numbers(2);
    const packets = relay.packets.map(({ bytes }) => bytes);
    await inPortions(40_000, () => relay.injectToClient(mutated(packets, next)));
    expect(await roundTrip(client, 'still here')).toBe('still here');
  });

  it('leave nothing behind in memory', { timeout: 60_000 }, async () => {
    const { client, relay, serverPort } = await recorded();
    const attacker = await bound();
    const next = numbers(3);
    const packets = relay.packets.map(({ bytes }) => bytes);
    const before = await heldBytes();
    await inPortions(20_000, () => attacker.send(mutated(packets, next), serverPort, '127.0.0.1'));
    attacker.close();
    await roundTrip(client, 'everything has arrived');
    expect((await heldBytes()) - before).toBeLessThan(8 * MiB);
  });

  it('of 0-RTT without a connection are dropped', async () => {
    const listener = await stage.listen({}, echoStreams);
    const attacker = await bound();
    // The packet of 59 bytes that ends a process built on the package's own server.
    const packet = Buffer.concat([
      Buffer.from([0xd0, 0, 0, 0, 1, 20]),
      pattern(20),
      Buffer.from([20]),
      pattern(20),
      pattern(12),
    ]);
    expect(packet.length).toBe(59);
    await inPortions(100, () => attacker.send(packet, listener.port, '127.0.0.1'));
    attacker.close();
    expect(await roundTrip(await stage.connect(listener), 'alive')).toBe('alive');
  });
});

describe('answers to strangers', () => {
  /** What comes back for `packet` before the answer to a proper Initial does. */
  async function answersTo(packet: Buffer): Promise<Buffer[]> {
    const listener = await stage.listen();
    const socket = await bound();
    const answers: Buffer[] = [];
    await new Promise<void>((resolve) => {
      socket.on('message', (bytes) => {
        answers.push(bytes);
        if (isRetryFor(bytes, MARKER)) resolve();
      });
      socket.send(packet, listener.port, '127.0.0.1');
      socket.send(initial(1, 1200, MARKER), listener.port, '127.0.0.1');
    });
    socket.close();
    return answers.filter((bytes) => !isRetryFor(bytes, MARKER));
  }

  const MARKER = Buffer.from('marker');
  const OTHER = Buffer.from('other!');

  function initial(version: number, length: number, sourceId: Buffer, firstByte = 0xc3): Buffer {
    const header = Buffer.concat([
      Buffer.from([firstByte, 0, 0, 0, 0, 20]),
      pattern(20),
      Buffer.from([sourceId.length]),
      sourceId,
    ]);
    header.writeUInt32BE(version, 1);
    return Buffer.concat([header, Buffer.alloc(length - header.length)]);
  }

  function shortHeader(length: number, firstByte = 0x43): Buffer {
    return Buffer.concat([Buffer.from([firstByte]), pattern(length - 1)]);
  }

  function isRetryFor(bytes: Buffer, sourceId: Buffer): boolean {
    return (bytes[0]! & 0xf0) === 0xf0 && bytes.subarray(6, 6 + bytes[5]!).equals(sourceId);
  }

  it('are a Retry for a proper Initial, no larger than it', async () => {
    const [answer] = await answersTo(initial(1, 1200, OTHER));
    expect([isRetryFor(answer!, OTHER), answer!.length < 1200]).toEqual([true, true]);
  });

  it('are the versions for a version that does not exist', async () => {
    const [answer] = await answersTo(initial(0xbabababa, 1200, OTHER));
    expect([answer!.readUInt32BE(1), answer!.includes(Buffer.from([0, 0, 0, 1]))]).toEqual([0, true]);
  });

  it.each([30, 1200])('are a stateless reset for a short header of nobody of %i bytes', async (length) => {
    const answers = await answersTo(shortHeader(length));
    expect(answers.map((bytes) => [bytes.length, bytes[0]! & 0xc0])).toEqual([[29, 0x40]]);
  });

  it.each([
    ['an Initial in a small datagram', initial(1, 1199, OTHER)],
    ['an unknown version in a small datagram', initial(0xbabababa, 1199, OTHER)],
    ['a version negotiation', initial(0, 1200, OTHER)],
    ['a Handshake packet of nobody', initial(1, 1200, OTHER, 0xe3)],
    ['a 0-RTT packet of nobody', initial(1, 1200, OTHER, 0xd3)],
    ['a Retry', initial(1, 1200, OTHER, 0xf3)],
    ['a short header of nobody in a datagram no longer than the answer', shortHeader(29)],
    ['a short header without the fixed bit', shortHeader(1200, 0x03)],
    ['one byte', Buffer.from([0xc3])],
  ])('are none for %s', async (_what, packet) => {
    expect(await answersTo(packet)).toEqual([]);
  });
});

describe('a flood of Initials from addresses that prove nothing', () => {
  it('keeps no memory, and clients connect during and after it', { timeout: 120_000 }, async () => {
    const listener = await stage.listen({}, echoStreams);
    const sockets = await Promise.all([bound(), bound(), bound(), bound()]);
    const packet = Buffer.alloc(1200);
    packet.set([0xc3, 0, 0, 0, 1, 20]);
    const next = numbers(4);
    const before = await heldBytes();
    let during: Promise<Connection> | undefined;
    await inPortions(200_000, (i) => {
      for (let at = 6; at < 26; at += 4) packet.writeUInt32BE(next(2 ** 32), at);
      sockets[i % sockets.length]!.send(Buffer.from(packet), listener.port, '127.0.0.1');
      if (i === 50_000) during = stage.connect(listener);
    });
    expect(await roundTrip(await during!, 'during')).toBe('during');
    expect(await roundTrip(await stage.connect(listener), 'after')).toBe('after');
    for (const socket of sockets) socket.close();
    expect(listener.connectionCount).toBe(2);
    expect((await heldBytes()) - before).toBeLessThan(16 * MiB);
  });
});

/**
 * Hostile input at every port of a real node, for a fixed time. The seed is printed; `SEED=… npm test` makes the same input again.
 * Whatever comes: the process lives, holds no memory for it, and serves everyone else.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import type { Socket } from 'node:net';
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UdpRelay } from '../test/transport/quic/udp-relay.ts';
import { connect } from '../src/client/index.ts';
import { FRAME } from '../src/wire/frame.ts';
import { eventually } from './support/eventually.ts';
import { fuzzSeed, FuzzSource } from './support/fuzz-source.ts';
import {
  announcement,
  hostilePiece,
  produceFrame,
  requestFrame,
  smallBatch,
} from './support/hostile-frames.ts';
import { NodeProcess } from './support/node-process.ts';
import { QuicPeer } from './support/quic-peer.ts';

const MiB = 1024 * 1024;
/** Time for each kind of input, milliseconds; 20 s together. */
const TIME_MS = { packets: 6000, tcp: 4000, frames: 10_000 };
const SEED = fuzzSeed();

const resources = new AsyncDisposableStack();
let node: NodeProcess;
let pid: number;
let peakBytes = 0;

beforeAll(async () => {
  console.log(`fuzzing with SEED=${SEED}`);
  node = resources.use(await NodeProcess.start({ env: { SLUICE_LOG_LEVEL: 'error' } }));
  pid = node.pid;
  await serves('warm-up');
  const watch = setInterval(() => {
    if (node.alive) peakBytes = Math.max(peakBytes, node.rssBytes);
  }, 50);
  resources.defer(() => clearInterval(watch));
});

afterAll(() => resources.disposeAsync());

/** A client as it should be publishes and reads, on both transports. */
async function serves(topic: string): Promise<void> {
  for (const url of [node.url, `tls://127.0.0.1:${node.tlsPort}`]) {
    await using client = await connect(url, { ca: node.ca });
    const subscription = await client.subscribe(topic);
    const producer = client.producer();
    for (let n = 0; n < 1000; n += 1) void producer.publish(`${topic}/key`, `${n}`);
    let next = 0;
    for await (const record of subscription) {
      expect(record.text()).toBe(`${next}`);
      if (++next === 1000) break;
    }
  }
}

async function expectUnharmed(topic: string): Promise<void> {
  await serves(topic);
  expect(node.alive).toBe(true);
  expect(node.pid).toBe(pid);
  expect((await fetch(`http://127.0.0.1:${node.httpPort}/healthz`)).status).toBe(200);
  // In all, not above what it began with: that depends on whether the garbage of its start was collected by then.
  expect(peakBytes / MiB).toBeLessThan(512);
}

/** Calls `step` until the time is over. */
async function forMs(ms: number, step: () => void | Promise<void>): Promise<void> {
  const end = performance.now() + ms;
  while (performance.now() < end) await step();
}

/** Packets of a proper client from its first to its last, as the node saw them. */
async function recordedPackets(): Promise<Buffer[]> {
  const relay = await UdpRelay.open(node.quicPort);
  relay.recording = true;
  const client = await connect(`quic://127.0.0.1:${relay.port}`, { ca: node.ca });
  await client.producer().publish('recorded', 'value');
  await client.close();
  relay.close();
  return relay.packets.filter(({ direction }) => direction === 'to-server').map(({ bytes }) => bytes);
}

function hostilePacket(source: FuzzSource, recorded: readonly Buffer[]): Buffer {
  const initial = recorded[0]!;
  const packet = Buffer.from(source.pick(recorded));
  switch (source.below(8)) {
    case 0:
      return source.bytes(source.below(1500));
    case 1: // Version 0, or one that does not exist.
      packet.writeUInt32BE(source.once(2) ? 0 : source.below(2 ** 32), 1);
      return packet;
    case 2: // A short header of nobody.
      return Buffer.concat([Buffer.from([0x40 | source.below(64)]), source.bytes(source.below(200))]);
    case 3: // 0-RTT, Handshake or Retry in place of what it was.
      packet[0] = 0xc0 | (source.below(3) << 4) | (packet[0]! & 0x0f) | 0x10;
      return packet;
    case 4:
      return packet;
    case 5: // A new client each time.
      return Buffer.concat([
        initial.subarray(0, 6),
        source.bytes(initial[5]!),
        initial.subarray(6 + initial[5]!),
      ]);
    default:
      return source.mutate(packet);
  }
}

describe('a node under fuzz', { timeout: 90_000 }, () => {
  it('outlives hostile packets', async () => {
    const source = new FuzzSource(SEED);
    const recorded = await recordedPackets();
    const sockets = [createSocket('udp4'), createSocket('udp4')];
    await forMs(TIME_MS.packets, async () => {
      for (let n = 0; n < 32; n += 1) {
        source.pick(sockets).send(hostilePacket(source, recorded), node.quicPort, '127.0.0.1');
      }
      await nextTurn();
    });
    for (const socket of sockets) socket.close();
    await expectUnharmed('after-packets');
  });

  it('outlives hostile bytes on its TCP ports', async () => {
    const source = new FuzzSource(SEED + 1);
    await forMs(TIME_MS.tcp, () => hostileTcp(source));
    await expectUnharmed('after-tcp');
  });

  it('outlives hostile frames and streams, and serves others while they stay', async () => {
    const staying = await Promise.all([
      unfinishedFrames(),
      tenThousandStreams(),
      halfClosed(),
      neverReading(),
    ]);
    // A source for each, so that what one sends does not depend on what becomes of the others.
    let seed = SEED + 2;
    const lane = (): Promise<void> =>
      forMs(TIME_MS.frames, () => hostileConnection(new FuzzSource((seed += 1))));
    await Promise.all([lane(), lane(), lane()]);
    await expectUnharmed('beside-hostile-streams');
    for (const peer of staying) peer[Symbol.dispose]();
    await expectUnharmed('after-hostile-streams');
  });
});

/** One TCP connection: plain, or inside TLS, to one of the ports. */
async function hostileTcp(source: FuzzSource): Promise<void> {
  const http = [
    'GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n',
    'POST /healthz HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n',
    `GET /${'a'.repeat(3000)} HTTP/1.1\r\n${'x: y\r\n'.repeat(400)}`,
  ];
  const preface = Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
  ]);
  const kind = source.below(3);
  const port = kind === 0 ? node.httpPort : node.tlsPort;
  const socket: Socket =
    kind === 2
      ? connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'] })
      : connectTcp(port, '127.0.0.1');
  const gone = once(socket, 'close').catch(() => undefined);
  socket.on('error', () => undefined);
  await Promise.race([once(socket, kind === 2 ? 'secureConnect' : 'connect').catch(() => undefined), gone]);
  if (kind === 2) socket.write(source.once(4) ? source.mutate(preface) : preface);
  for (let pieces = 1 + source.below(4); pieces > 0; pieces -= 1) {
    const text = Buffer.from(source.pick(http));
    socket.write(kind === 0 && !source.once(3) ? source.mutate(text) : source.bytes(source.below(2000)));
    await nextTurn();
  }
  if (source.once(2) && kind !== 2) socket.resetAndDestroy();
  else socket.destroySoon();
  await Promise.race([gone, pause(200)]);
  socket.destroy();
}

/** One QUIC connection with a few dozen streams of hostile frames. The node answers the last, proper one, or has closed it. */
async function hostileConnection(source: FuzzSource): Promise<void> {
  using peer = await QuicPeer.connect(node);
  if (!source.once(3)) await peer.hello();
  for (let streams = 0; streams < 40 && peer.closed === undefined; streams += 1) {
    const stream = source.once(4) ? peer.uni() : peer.bidi();
    for (let pieces = source.below(6); pieces >= 0; pieces -= 1) stream.write(hostilePiece(source));
    const end = source.below(6);
    if (end === 0) stream.abort(source.below(100));
    else if (end === 1) stream.stop(source.below(100));
    else if (end <= 3) stream.end();
    if (source.once(3)) peer.connection.sendDatagram(source.bytes(source.below(500)));
    if (source.once(4)) await nextTurn();
  }
  if (peer.closed !== undefined) return;
  const proper = peer.bidi();
  proper.write(produceFrame('fuzz', smallBatch()));
  await eventually(
    'an answer',
    () => proper.frames.length > 0 || proper.reset !== undefined || peer.closed !== undefined,
  );
}

/** Thousands of streams that each announce a large frame, send its beginning, and go silent. */
async function unfinishedFrames(): Promise<QuicPeer> {
  const peer = await QuicPeer.connect(node);
  await peer.hello();
  for (let n = 0; n < 4000 && peer.closed === undefined; n += 1) {
    const stream = n % 2 === 0 ? peer.bidi() : peer.uni();
    stream.write(
      announcement(n % 2 === 0 ? FRAME.PRODUCE : FRAME.PUBLISH, 'fuzz', 17 * MiB),
      Buffer.alloc(100),
    );
    if (n % 64 === 0) await nextTurn();
  }
  return peer;
}

/** Ten thousand streams at once, a byte on each. */
async function tenThousandStreams(): Promise<QuicPeer> {
  const peer = await QuicPeer.connect(node);
  await peer.hello();
  for (let n = 0; n < 10_000; n += 1)
    (n % 2 === 0 ? peer.bidi() : peer.uni()).write(Buffer.of(FRAME.PUBLISH));
  return peer;
}

/** Streams of which one half ends early, in every way. */
async function halfClosed(): Promise<QuicPeer> {
  const peer = await QuicPeer.connect(node);
  await peer.hello();
  for (let n = 0; n < 1000 && peer.closed === undefined; n += 1) {
    const stream = peer.bidi();
    stream.write(produceFrame('fuzz', smallBatch()).subarray(0, n % 3 === 0 ? 20 : undefined));
    if (n % 4 < 2) stream.end();
    if (n % 4 === 1) stream.stop(n);
    if (n % 4 === 2) stream.abort(n);
    if (n % 64 === 0) await nextTurn();
  }
  return peer;
}

/** Asks for everything and reads nothing: neither answers nor deliveries. */
async function neverReading(): Promise<QuicPeer> {
  const peer = await QuicPeer.connect(node);
  peer.onStream = (stream) => stream.ignore();
  const control = await peer.hello();
  const subscribe = (subscriptionId: number): Buffer =>
    requestFrame(
      {
        case: 'subscribe',
        value: {
          subscriptionId,
          filter: 'unread',
          start: { at: { case: 'earliest', value: true } },
        },
      },
      subscriptionId,
    );
  const publisher = peer.bidi();
  publisher.write(produceFrame('unread', smallBatch(5000)));
  await publisher.frame(FRAME.PRODUCED);
  control.write(subscribe(1));
  await control.frame(FRAME.RESPONSE);
  control.ignore();
  for (let n = 2; n < 500; n += 1) control.write(subscribe(n));
  for (let n = 0; n < 20_000; n += 1)
    control.write(requestFrame({ case: 'nodeStatus', value: {} }, 1000 + n));
  publisher.ignore();
  const batch = smallBatch(100);
  for (let n = 0; n < 2000; n += 1) publisher.write(produceFrame('unread', batch, n));
  return peer;
}

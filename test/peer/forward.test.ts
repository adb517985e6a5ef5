import { afterEach, describe, expect, it } from 'vitest';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { PeerSettings } from '../../src/peer/peer-settings.ts';
import type { ForwardCallback, ForwardedPublish } from '../../src/peer/ports.ts';
import { turns } from '../support/turns.ts';
import type { PeerStage } from './peer-stage.ts';
import { CARRIERS, forward, publishOf, startPeers } from './peer-stage.ts';

const STORED = { kind: 'appended', baseOffset: 5, appendTimeMs: 0 } as const;

describe.each(CARRIERS)('publishes on their way to the leader, carried by %s', (carrier) => {
  let stage: PeerStage;
  afterEach(() => stage[Symbol.asyncDispose]());

  async function start(
    take: (publish: ForwardedPublish, done: ForwardCallback) => void,
    settings: Partial<PeerSettings> = {},
  ): Promise<void> {
    stage = await startPeers({
      settings: { streams: carrier, ...settings },
      services: { forwards: { forward: take } },
    });
  }

  it('arrive as they are', async () => {
    const seen: unknown[] = [];
    await start((publish, done) => {
      seen.push(publish);
      done(STORED);
    });
    const publish = publishOf({ topicId: 'orders', partition: 3, leaderEpoch: 9, acks: 1 });
    await forward(stage.client, publish);
    expect(seen).toEqual([publish]);
  });

  it.each([
    STORED,
    { kind: 'duplicate', baseOffset: 2 ** 52, appendTimeMs: 0 } as const,
    { kind: 'appended', baseOffset: 0, appendTimeMs: 1_700_000_000_000 } as const,
  ])('are answered where they were stored: %j', async (outcome) => {
    await start((_, done) => done(outcome));
    expect(await forward(stage.client, publishOf())).toEqual(outcome);
  });

  it('are answered with the error of the leader', async () => {
    await start((_, done) => done(new SluiceError('NOT_LEADER', 'it is led elsewhere')));
    await expect(forward(stage.client, publishOf())).rejects.toMatchObject({
      code: 'NOT_LEADER',
      message: 'it is led elsewhere',
    });
  });

  it('share messages, and each is answered with its own answer', async () => {
    await start((publish, done) => done({ ...STORED, baseOffset: Number(publish.batch.toString()) }));
    const answers = await Promise.all(
      Array.from({ length: 10_000 }, (_, n) =>
        forward(stage.client, publishOf({ partition: n % 7, batch: Buffer.from(String(n)) })),
      ),
    );
    expect(answers.map(({ baseOffset }) => baseOffset)).toEqual(answers.map((_, n) => n));
    expect(stage.client.counters).toMatchObject({ publishes: 10_000, bytes: 38_890, messages: 1 });
  });

  it('arrive in the order of the calls', async () => {
    const seen: number[] = [];
    await start((publish, done) => {
      seen.push(publish.batch.readUInt32BE(0));
      done(STORED);
    });
    const batch = (n: number) => {
      const bytes = Buffer.alloc(100_000 * (1 + (n % 3)));
      bytes.writeUInt32BE(n);
      return bytes;
    };
    const all: Promise<unknown>[] = [];
    for (let n = 0; n < 100; n += 1) {
      all.push(forward(stage.client, publishOf({ batch: batch(n) })));
      if (n % 10 === 0) await turns(1);
    }
    await Promise.all(all);
    expect(seen).toEqual(Array.from({ length: 100 }, (_, n) => n));
  });

  it('of one partition do not wait for the answer of another', async () => {
    const held: ForwardCallback[] = [];
    await start((publish, done) => {
      if (publish.partition === 0) held.push(done);
      else done(STORED);
    });
    const slow = forward(stage.client, publishOf({ partition: 0 }));
    expect(await forward(stage.client, publishOf({ partition: 1 }))).toEqual(STORED);
    held[0]!(STORED);
    await slow;
  });

  it('beyond the bound of bytes are OVERLOADED, until some are answered', async () => {
    const held: ForwardCallback[] = [];
    await start((_, done) => void held.push(done), { forwardMaxBytes: 10_000 });
    const big = publishOf({ batch: Buffer.alloc(6_000) });
    const first = forward(stage.client, big);
    await expect(forward(stage.client, big)).rejects.toMatchObject({ code: 'OVERLOADED' });
    while (held.length === 0) await turns(1);
    await expect(forward(stage.client, big)).rejects.toMatchObject({ code: 'OVERLOADED' });
    held[0]!(STORED);
    await first;
    expect(stage.client.forwardBytes).toBe(0);
    const second = forward(stage.client, big);
    while (held.length === 1) await turns(1);
    held[1]!(STORED);
    expect(await second).toEqual(STORED);
  });

  it('that alone are above the bound pass', async () => {
    await start((_, done) => done(STORED), { forwardMaxBytes: 10_000 });
    expect(await forward(stage.client, publishOf({ batch: Buffer.alloc(2 ** 24) }))).toEqual(STORED);
  });

  it('that are not answered in time fail, and only those', async () => {
    const held: ForwardCallback[] = [];
    await start((_, done) => void held.push(done));
    const early = forward(stage.client, publishOf());
    while (held.length === 0) await turns(1);
    stage.clock.advance(1);
    const later = forward(stage.client, publishOf());
    while (held.length === 1) await turns(1);
    stage.clock.advance(stage.settings.forwardTimeoutMs - 1);
    await expect(early).rejects.toMatchObject({ code: 'TIMEOUT' });
    held.forEach((done) => done(STORED));
    expect(await later).toEqual(STORED);
    expect(stage.client.forwardBytes).toBe(0);
  });

  it('fail with UNAVAILABLE when the leader ends in the middle', async () => {
    const held: ForwardCallback[] = [];
    await start((_, done) => void held.push(done));
    const publishing = Promise.allSettled(
      [publishOf(), publishOf()].map((one) => forward(stage.client, one)),
    );
    while (held.length < 2) await turns(1);
    const closing = stage.server.close(1);
    stage.clock.advance(1);
    const codes = (await publishing).map(
      (one) => one.status === 'rejected' && (one.reason as SluiceError).code,
    );
    expect(codes).toEqual(['UNAVAILABLE', 'UNAVAILABLE']);
    held.forEach((done) => done(STORED));
    expect(stage.client.forwardBytes).toBe(0);
    await closing;
  });

  it.each(['connected', 'being connected'])(
    'fail at once when the leader, %s, is no member any more',
    async (when) => {
      const held: ForwardCallback[] = [];
      await start((_, done) => void held.push(done));
      const publishing = forward(stage.client, publishOf());
      while (when === 'connected' && held.length === 0) await turns(1);
      stage.client.left('c');
      expect(stage.client.connections).toBe(1);
      stage.client.left('b');
      await expect(publishing).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      expect(stage.client).toMatchObject({ forwardBytes: 0, connections: 0 });
    },
  );

  it('have memory of their own when they are a small part of a message', async () => {
    const kept: Buffer[] = [];
    await start((publish, done) => {
      kept.push(publish.batch);
      done(STORED);
    });
    const sizes = [100, 900_000, 200];
    await Promise.all(sizes.map((size) => forward(stage.client, publishOf({ batch: Buffer.alloc(size) }))));
    const pinned = kept.map(({ buffer }) => buffer.byteLength);
    expect(pinned[0]).toBe(100);
    expect(pinned[1]).toBeLessThan(901_000);
    expect(pinned[2]).toBe(200);
  });
});

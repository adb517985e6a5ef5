import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Liveness } from '../../../src/transport/http2/liveness.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { TcpRelay } from '../../support/tcp-relay.ts';
import { echoStreams, readSome } from '../../support/transport-streams.ts';
import { http2Stage } from './http2-stage.ts';

class Watched {
  readonly clock = new FakeClock();
  readonly socket = { bytesRead: 0 };
  readonly told: string[] = [];
  pings = 0;
  isAwaited: (() => boolean) | undefined = () => true;
  readonly liveness: Liveness;

  constructor(limits = { idleTimeoutMs: 30_000, keepAliveMs: 10_000 }) {
    const ping = (): boolean => {
      this.pings += 1;
      return true;
    };
    this.liveness = new Liveness({
      ...{ socket: this.socket, clock: this.clock, limits },
      session: { destroyed: false, ping },
      isAwaited: () => this.isAwaited,
      onSilent: () => this.told.push(`silent ${this.clock.monotonicMs()}`),
      onDead: () => this.told.push(`dead ${this.clock.monotonicMs()}`),
    });
  }

  hear(): void {
    this.socket.bytesRead += 1;
  }
}

describe('liveness', () => {
  it('asks a peer that somebody waits for once, and tells that it is silent once', () => {
    const on = new Watched();
    on.clock.advance(999);
    expect(on.pings).toBe(0);
    on.clock.advance(1);
    expect([on.pings, on.told]).toEqual([1, []]);
    on.clock.advance(8000);
    expect([on.pings, on.told]).toEqual([1, ['silent 3505']]);
    on.hear();
    on.clock.advance(5000);
    expect(on.told).toHaveLength(2);
  });

  it('keeps a connection alive on which nobody waits, and no other more often', () => {
    const on = new Watched();
    on.isAwaited = undefined;
    on.clock.advance(25_000);
    expect(on.pings).toBe(2);
  });

  it('asks nobody more often who is not waited for', () => {
    const on = new Watched();
    on.isAwaited = () => false;
    on.clock.advance(25_000);
    expect([on.pings, on.told]).toEqual([2, []]);
    on.clock.advance(10_000);
    expect(on.told).toEqual(['dead 30000']);
  });

  it('does not take a peer for silent that answers, nor one that could not be heard because this process stood still', () => {
    const on = new Watched();
    for (let n = 0; n < 20; n += 1) {
      on.clock.advance(1000);
      if (n % 3 === 0) on.hear();
    }
    expect(on.told).toEqual([]);
    on.clock.advance(1000);
    on.clock.stall(20_000);
    on.clock.advance(1);
    on.hear();
    on.clock.advance(1000);
    expect(on.told).toEqual([]);
  });

  it('is nobody’s any more when it was stopped', () => {
    const on = new Watched();
    on.liveness.stop();
    on.clock.advance(60_000);
    expect([on.pings, on.told, on.clock.pendingTimers]).toEqual([0, [], 0]);
  });
});

describe('a connection', () => {
  const stage = http2Stage();
  beforeEach(() => stage.open());
  afterEach(() => stage.close());

  it('tells who waits for its peer that it is silent, lives on, and nobody else', async () => {
    const { port } = await stage.listen(undefined, echoStreams);
    const relay = await TcpRelay.listen(port);
    const told: string[] = [];
    const open = async (name: string, isAwaited: boolean): Promise<() => Promise<Buffer>> => {
      const client = await stage.connect({ port: relay.port });
      client.isAwaited = () => isAwaited;
      client.onSilent = () => told.push(name);
      const stream = client.openBidi();
      return () => {
        const echo = readSome(stream.receive);
        stream.send.write(Buffer.from(name));
        return echo;
      };
    };
    const echoes = [await open('awaited', true), await open('other', false)];
    for (const echo of echoes) await echo();
    relay.hold('up', 'down');
    await expect.poll(() => told, { timeout: 15_000 }).toEqual(['awaited']);
    relay.release();
    expect((await echoes[0]!()).toString()).toBe('awaited');
    relay.close();
  });
});

import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Liveness } from '../../../src/transport/http2/liveness.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { TcpRelay } from '../../support/tcp-relay.ts';
import { echoStreams, readSome } from '../../support/transport-streams.ts';
import { http2Stage } from './http2-stage.ts';

const KiB = 1024;

class Watched {
  readonly clock = new FakeClock();
  readonly socket = { bytesRead: 0, bytesWritten: 0 };
  readonly told: string[] = [];
  /** When a PING was sent, and how to answer it. */
  readonly pings: { readonly atMs: number; readonly answer: () => void }[] = [];
  isAwaited: (() => boolean) | undefined = () => true;
  readonly liveness: Liveness;

  constructor(limits = { idleTimeoutMs: 30_000, keepAliveMs: 10_000 }) {
    const ping = (callback: (error: Error | null, durationMs: number, payload: Buffer) => void): boolean => {
      const atMs = this.clock.monotonicMs();
      const answer = (): void => callback(null, this.clock.monotonicMs() - atMs, Buffer.alloc(8));
      this.pings.push({ atMs, answer });
      return true;
    };
    this.liveness = new Liveness({
      ...{ socket: this.socket, clock: this.clock, limits },
      session: { destroyed: false, ping: ping as never },
      isAwaited: () => this.isAwaited,
      onSilent: () => this.told.push(`silent ${this.clock.monotonicMs()}`),
      onDead: () => this.told.push(`dead ${this.clock.monotonicMs()}`),
    });
  }

  get pingedMs(): readonly number[] {
    return this.pings.map(({ atMs }) => atMs);
  }

  send(bytes = 100): void {
    this.socket.bytesWritten += bytes;
    this.liveness.sent();
  }

  hear(): void {
    this.socket.bytesRead += 1;
  }
}

describe('liveness', () => {
  it('asks a peer that somebody waits for a second after something was sent, and tells once that it is silent', () => {
    const on = new Watched();
    on.clock.advance(2500);
    on.send();
    on.clock.advance(1000);
    expect([on.pingedMs, on.told]).toEqual([[3500], []]);
    on.clock.advance(6000);
    const foundMs = 3500 + 2500 + 100 / 16 + 5;
    expect([on.pingedMs, on.told]).toEqual([[3500], [`silent ${foundMs}`]]);
    on.hear();
    on.clock.advance(6000);
    expect(on.told).toHaveLength(2);
  });

  it('goes on asking while somebody waits, and rests when nobody does', () => {
    const on = new Watched();
    let isWaiting = true;
    on.isAwaited = () => isWaiting;
    on.send();
    for (let n = 0; n < 5; n += 1) {
      on.clock.advance(1000);
      on.pings.at(-1)!.answer();
    }
    isWaiting = false;
    on.clock.advance(4000);
    expect([on.pingedMs, on.told]).toEqual([[1000, 2000, 3000, 4000, 5000], []]);
    expect(on.clock.pendingTimers).toBe(1);
  });

  it('takes a PING that keeps the connection alive for a question, too', () => {
    const on = new Watched();
    on.isAwaited = undefined;
    on.send();
    on.clock.advance(15_000);
    expect([on.pingedMs, on.told]).toEqual([[10_000], ['silent 12511.25']]);
  });

  it('asks nobody for whom no PINGs are wanted and nobody waits', () => {
    const on = new Watched({ idleTimeoutMs: 30_000, keepAliveMs: 0 });
    on.isAwaited = () => false;
    on.send();
    on.clock.advance(29_000);
    expect([on.pings, on.told]).toEqual([[], []]);
  });

  it('keeps as often as is said, whatever that is', () => {
    const on = new Watched({ idleTimeoutMs: 30_000, keepAliveMs: 1700 });
    for (let n = 0; n < 3; n += 1) {
      on.clock.advance(1700);
      on.pings.at(-1)!.answer();
    }
    expect(on.pingedMs).toEqual([1700, 3400, 5100]);
  });

  it('ends what has been idle for too long, once', () => {
    const on = new Watched();
    on.clock.advance(60_000);
    expect(on.told.at(-1)).toBe('dead 30005');
    expect(on.told.filter((text) => text.startsWith('dead'))).toHaveLength(1);
  });

  it('gives a peer the time that what was written before may take', () => {
    const on = new Watched();
    on.send(1024 * KiB);
    on.clock.advance(60_000 / 2);
    expect(on.told).toEqual([]);
  });

  it('gives it less where it has taken much before', () => {
    const on = new Watched();
    for (let n = 0; n < 5; n += 1) {
      on.send(10 * 1024 * KiB);
      on.clock.advance(1000);
      on.pings.at(-1)!.answer();
    }
    on.send(1024 * KiB);
    on.clock.advance(1000 + 2500 + 110);
    expect(on.told).toHaveLength(1);
  });

  it('gives it more where the last answer took long', () => {
    const on = new Watched();
    on.send();
    on.clock.advance(1000 + 2000);
    on.pings.at(-1)!.answer();
    on.clock.advance(1000 + 11_000);
    expect(on.told).toEqual([]);
    on.clock.advance(1500);
    expect(on.told).toHaveLength(1);
  });

  it('takes no peer for silent or dead that could not be heard because this process stood still', () => {
    const on = new Watched();
    on.send();
    on.clock.advance(1000);
    on.clock.stall(40_000);
    on.clock.advance(1);
    on.hear();
    on.clock.advance(900);
    expect(on.told).toEqual([]);
  });

  it('does nothing any more when it was stopped', () => {
    const on = new Watched();
    on.send();
    on.clock.advance(1000);
    on.liveness.stop();
    on.clock.advance(60_000);
    expect([on.pingedMs, on.told, on.clock.pendingTimers]).toEqual([[1000], [], 0]);
  });
});

describe('a connection', () => {
  const stage = http2Stage();
  let relay: TcpRelay;
  beforeEach(() => stage.open());
  afterEach(async () => {
    await stage.close();
    relay.close();
  });

  it('tells who waits for its peer that it is silent, and lives on; who does not wait hears nothing', async () => {
    const { port } = await stage.listen(undefined, echoStreams);
    relay = await TcpRelay.listen(port);
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
    const echoes = [await open('other', false), await open('awaited', true)];
    for (const echo of echoes) await echo();
    relay.hold('up', 'down');
    await expect.poll(() => told, { timeout: 15_000 }).toEqual(['awaited']);
    await pause(1000);
    expect(told).toEqual(['awaited']);
    relay.release();
    expect((await echoes[1]!()).toString()).toBe('awaited');
  });
});

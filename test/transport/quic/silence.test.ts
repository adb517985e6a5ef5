import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { BidiStream, Connection } from '../../../src/transport/transport.ts';
import { Silence } from '../../../src/transport/quic/silence.ts';
import { echoStreams, readSome } from '../../support/transport-streams.ts';
import { ManualClock } from './manual-clock.ts';
import { relayedStage } from './quic-stage.ts';
import type { UdpRelay } from './udp-relay.ts';

describe('a peer', () => {
  const setUp = (): { clock: ManualClock; silence: Silence } => {
    const clock = new ManualClock();
    return { clock, silence: new Silence(clock, 0, () => undefined) };
  };
  /** Looks every millisecond. @returns when it was found silent, milliseconds from now */
  const foundWithin = (ms: number, { clock, silence }: ReturnType<typeof setUp>): number[] => {
    const found: number[] = [];
    for (let n = 1; n <= ms; n += 1) {
      clock.advance(1);
      if (silence.look()) found.push(n);
    }
    return found;
  };

  /** A timer for lost packets runs out, so long after something was sent. */
  const ask = ({ clock, silence }: ReturnType<typeof setUp>, timerMs = 100): void => {
    silence.sent(timerMs);
    clock.advance(timerMs);
    silence.unanswered();
  };

  it('is silent once when nothing comes after a timer for lost packets has run out', () => {
    const on = setUp();
    ask(on);
    expect(foundWithin(60_000, on)).toEqual([2500 + 5]);
    ask(on);
    expect([on.silence.dueMs(0), foundWithin(10_000, on)]).toEqual([Infinity, []]);
  });

  it('has as much time as it takes until two timers more have run out, whether they do or are put off', () => {
    const on = setUp();
    ask(on, 5000);
    expect(foundWithin(20_000, on)).toEqual([]);
    ask(on, 1);
    expect(foundWithin(20_000, on)).toEqual([9999 + 5]);
  });

  it('is asked for a sign when the first timer runs out: what was lost may be sent again by nobody', () => {
    const { silence } = setUp();
    expect([silence.unanswered(), silence.unanswered()]).toEqual([true, false]);
    silence.heard();
    expect(silence.unanswered()).toBe(true);
  });

  it('is silent as soon when something is sent again and again, which puts off the timers', () => {
    const on = setUp();
    const found: number[] = [];
    for (let n = 1; n <= 400; n += 1) {
      on.silence.sent(100);
      found.push(...foundWithin(10, on).map((ms) => 10 * (n - 1) + ms));
    }
    expect(found).toEqual([100 + 2500 + 5]);
  });

  it('is not, when what was sent needs no answer: the connection has the timer of an idle one then', () => {
    const on = setUp();
    on.silence.sent(29_000);
    expect(foundWithin(20_000, on)).toEqual([]);
  });

  it('that has answered meanwhile is not, until it stops again', () => {
    const on = setUp();
    ask(on);
    on.clock.advance(2100);
    on.silence.heard();
    expect(foundWithin(10_000, on)).toEqual([]);
    ask(on);
    expect(foundWithin(10_000, on)).toHaveLength(1);
    on.silence.heard();
    ask(on);
    expect(foundWithin(10_000, on)).toHaveLength(1);
  });

  it('is asked for a sign a second after something was sent, if somebody waits then', () => {
    const clock = new ManualClock();
    let isAwaited = true;
    const silence = new Silence(clock, 0, () => () => isAwaited);
    const sentMs = clock.monotonicMs();
    expect(silence.dueMs(sentMs)).toBe(sentMs + 1000);
    clock.advance(999);
    expect(silence.wantsSign(sentMs)).toBe(false);
    clock.advance(1);
    expect([silence.wantsSign(sentMs), silence.wantsSign(sentMs), silence.dueMs(sentMs)]).toEqual([
      true,
      false,
      Infinity,
    ]);
    isAwaited = false;
    const againMs = clock.monotonicMs() + 1;
    clock.advance(1001);
    silence.heard();
    expect([silence.wantsSign(againMs), silence.dueMs(againMs)]).toEqual([false, Infinity]);
  });

  it('is not asked again before it has answered, which would put off the timer for lost packets', () => {
    const clock = new ManualClock();
    const silence = new Silence(clock, 0, () => () => true);
    clock.advance(1000);
    expect(silence.wantsSign(clock.monotonicMs() - 1000)).toBe(true);
    const sentMs = clock.monotonicMs() + 1;
    clock.advance(5000);
    expect([silence.wantsSign(sentMs), silence.dueMs(sentMs)]).toEqual([false, Infinity]);
    silence.heard();
    expect(silence.wantsSign(sentMs)).toBe(true);
  });

  it('is asked for a sign when nothing was sent for as long as connections are kept alive', () => {
    const clock = new ManualClock();
    const silence = new Silence(clock, 500, () => undefined);
    const sentMs = clock.monotonicMs();
    expect(silence.dueMs(sentMs)).toBe(sentMs + 500);
    clock.advance(499);
    expect(silence.wantsSign(sentMs)).toBe(false);
    clock.advance(1);
    expect(silence.wantsSign(sentMs)).toBe(true);
  });

  it('is not, when what it sent was only not read yet because this process stood still', () => {
    const on = setUp();
    ask(on);
    on.clock.advance(60_000);
    expect(on.silence.look()).toBe(false);
    on.clock.advance(1);
    on.silence.heard();
    expect(foundWithin(10_000, on)).toEqual([]);
  });
});

describe('a connection', () => {
  const { stage, relayTo } = relayedStage();

  /** A client whose peer does not hear it any more, nor is heard. */
  async function cutOff(delayMs = 0): Promise<{
    relay: UdpRelay;
    client: Connection;
    stream: BidiStream;
    told: () => number;
  }> {
    const listener = await stage.listen(undefined, echoStreams);
    const relay = await relayTo(listener);
    relay.delayMs = delayMs;
    const client = await stage.connect({ port: relay.port });
    const stream = client.openBidi();
    const echo = readSome(stream.receive);
    stream.send.write(Buffer.from('before'));
    await echo;
    // Whatever was not acknowledged yet, is.
    await pause(100);
    relay.drop = () => true;
    let told = 0;
    client.onSilent = () => (told += 1);
    return { relay, client, stream, told: () => told };
  }

  it('tells that its peer is silent when what it sends is not answered, and lives on', async () => {
    const [asked, idle] = [await cutOff(), await cutOff()];
    const echo = readSome(asked.stream.receive);
    asked.stream.send.write(Buffer.from('after'));
    await pause(2000);
    expect([asked.told(), idle.told()]).toEqual([0, 0]);
    await pause(1500);
    expect([asked.told(), idle.told()]).toEqual([1, 0]);
    asked.relay.drop = () => false;
    expect((await echo).toString()).toBe('after');
  });

  it('asks its peer for a sign of life where somebody waits for it', async () => {
    const [awaited, other] = [await cutOff(), await cutOff()];
    awaited.client.isAwaited = () => true;
    other.client.isAwaited = () => false;
    for (const { stream, relay } of [awaited, other]) {
      relay.drop = () => false;
      const echo = readSome(stream.receive);
      stream.send.write(Buffer.from('more'));
      await echo;
      await pause(100);
      relay.drop = () => true;
    }
    await pause(5000);
    expect([awaited.told(), other.told()]).toEqual([1, 0]);
  });

  it('notices it where the way is so long that a timer for lost packets takes longer than it waits before it asks', async () => {
    const { client, stream, told } = await cutOff(100);
    client.isAwaited = () => true;
    stream.send.write(Buffer.from('after'));
    await expect.poll(told, { timeout: 12_000 }).toBe(1);
  });

  it('does not take its peer for silent after it has lost a packet that nobody sends again', async () => {
    const listener = await stage.listen(undefined, (server) => {
      server.onDatagram = () => undefined;
    });
    const relay = await relayTo(listener);
    relay.delayMs = 30;
    const client = await stage.connect({ port: relay.port });
    let told = 0;
    client.onSilent = () => (told += 1);
    await pause(300);
    relay.drop = (direction) => direction === 'to-server';
    expect(client.sendDatagram(Buffer.from('lost'))).toBe(true);
    await pause(20);
    relay.drop = () => false;
    expect(client.sendDatagram(Buffer.from('shows that'))).toBe(true);
    await pause(4000);
    expect(told).toBe(0);
  });
});

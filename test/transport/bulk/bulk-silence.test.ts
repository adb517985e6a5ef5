import { describe, expect, it } from 'vitest';
import { KIND } from '../../../src/transport/bulk/frames.ts';
import { turns } from '../../support/turns.ts';
import type { StreamPair } from './bulk-stage.ts';
import {
  CHAT,
  SETTINGS,
  SIDES,
  SILENT_LOOKS,
  arePatterned,
  bulkStage,
  patterned,
  seenFrom,
  until,
} from './bulk-stage.ts';
import type { Direction, TcpRelay } from '../../support/tcp-relay.ts';

const MiB = 1024 * 1024;
/** An end that does not read ends the stream when it has looked so often and nothing was taken. */
const UNTAKEN_LOOKS = 30;

interface Relayed extends StreamPair {
  readonly relay: TcpRelay;
}

describe('an end of a bulk stream', () => {
  const stage = bulkStage();

  async function relayed(): Promise<Relayed> {
    const relay = await stage.relay();
    const ends = await stage.pair({ port: relay.port });
    // What opens the stream is said then, and so is nothing else.
    await turns(20);
    const { down } = relay.passed;
    await stage.look();
    await until(() => relay.passed.down > down);
    await turns(10);
    return { relay, ...ends };
  }

  /** Both ends look often, and hear of each other in between. */
  async function lookOften(relay: TcpRelay, directions: readonly Direction[]): Promise<void> {
    for (let n = 0; n < 4 * SILENT_LOOKS; n += 1) {
      const before = { ...relay.passed };
      await stage.look();
      await until(() => directions.every((direction) => relay.passed[direction] > before[direction]));
      await turns(5);
    }
  }

  it('notices at both ends that the other is frozen', async () => {
    const { relay, caller, called } = await relayed();
    relay.frozen = true;
    for (let n = 1; n < SILENT_LOOKS; n += 1) await stage.look();
    expect([caller.ends, called.ends]).toEqual([[], []]);
    // What had come before counts for one look.
    await stage.look();
    await stage.look();
    expect(await caller.ended).toMatchObject({ code: 'UNAVAILABLE' });
    expect(await called.ended).toMatchObject({ code: 'UNAVAILABLE' });
    await until(() => stage.clock.pendingTimers === 0 && stage.callerClock.pendingTimers === 0);
  });

  it('notices it also while it says much itself', async () => {
    const { relay, caller } = await relayed();
    relay.frozen = true;
    for (let n = 0; n <= SILENT_LOOKS; n += 1) {
      caller.stream.write(Buffer.alloc(MiB));
      await stage.look();
    }
    expect(await caller.ended).toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('notices that the other does not even shake hands', async () => {
    const relay = await stage.relay();
    relay.frozen = true;
    const caller = stage.dial(CHAT, { port: relay.port });
    caller.say('hello');
    await until(() => relay.open.size === 2);
    for (let n = 1; n < SILENT_LOOKS; n += 1) await stage.look();
    expect(caller.ends).toEqual([]);
    await stage.look();
    expect(await caller.ended).toMatchObject({ code: 'UNAVAILABLE' });
    expect(stage.called).toEqual([]);
  });

  it('that has nothing to say is not taken for silent', async () => {
    const { relay, caller, called } = await relayed();
    await lookOften(relay, ['up', 'down']);
    expect([caller.ends, called.ends]).toEqual([[], []]);
    caller.say('still here');
    await until(() => called.got.length === 1);
  });

  it.each(SIDES)('that pauses as the %s is not taken for silent, nor takes the other for it', async (at) => {
    const { relay, ...ends } = await relayed();
    const [reader, writer] = seenFrom(at, ends);
    reader.stream.pause();
    let written = 0;
    for (; written < 30; written += 1) writer.stream.write(patterned(written, MiB));
    await turns(100);
    await lookOften(relay, [at === 'caller' ? 'up' : 'down']);
    expect([reader.ends, writer.ends]).toEqual([[], []]);
    reader.stream.resume();
    await until(() => reader.got.length === written);
    expect(arePatterned(reader.got, MiB)).toBe(true);
  });

  it('that has paused notices after that that the other is frozen', async () => {
    const { relay, caller } = await relayed();
    relay.frozen = true;
    caller.stream.pause();
    for (let n = 0; n < 2 * SILENT_LOOKS; n += 1) await stage.look();
    expect(caller.ends).toEqual([]);
    caller.stream.resume();
    for (let n = 1; n < SILENT_LOOKS; n += 1) await stage.look();
    expect(caller.ends).toEqual([]);
    await stage.look();
    expect(await caller.ended).toMatchObject({ code: 'UNAVAILABLE' });
  });

  describe('that does not read while its messages wait', () => {
    /** Pauses both ends, fills up what is between them, and looks once, which finds that something was taken. */
    async function fill({ relay, caller, called }: Relayed): Promise<void> {
      caller.stream.pause();
      called.stream.pause();
      for (let n = 0; n < 30; n += 1) called.stream.write(Buffer.alloc(MiB));
      for (let passed = -1; passed !== relay.passed.down;) {
        passed = relay.passed.down;
        await turns(100);
      }
      await stage.look();
    }

    it('notices after a while that nothing of them is taken', async () => {
      const ends = await relayed();
      const { called } = ends;
      await fill(ends);
      for (let n = 1; n < UNTAKEN_LOOKS; n += 1) await stage.look();
      expect(called.ends).toEqual([]);
      await stage.look();
      expect(await called.ended).toMatchObject({ code: 'UNAVAILABLE' });
      await until(() => stage.clock.pendingTimers === 0);
    });

    it('waits for as long as something of them is taken', async () => {
      const ends = await relayed();
      const { caller, called } = ends;
      for (let time = 0; time < 3; time += 1) {
        await fill(ends);
        for (let n = 2; n < UNTAKEN_LOOKS; n += 1) await stage.look();
        caller.stream.resume();
        await until(() => called.stream.unsentBytes === 0);
      }
      expect([caller.ends, called.ends]).toEqual([[], []]);
    });
  });

  it('that does not read, and has nothing to say, is patient', async () => {
    const { relay, called } = await relayed();
    relay.frozen = true;
    called.stream.pause();
    for (let n = 0; n < 2 * UNTAKEN_LOOKS; n += 1) await stage.look();
    expect(called.ends).toEqual([]);
  });

  it('begins to count anew when it has paused', async () => {
    const { relay, caller } = await relayed();
    relay.frozen = true;
    // What had come before counts for one look.
    for (let n = 0; n < SILENT_LOOKS; n += 1) await stage.look();
    caller.stream.pause();
    caller.stream.resume();
    for (let n = 1; n < SILENT_LOOKS; n += 1) await stage.look();
    expect(caller.ends).toEqual([]);
    await stage.look();
    expect(await caller.ended).toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('that sends a large message slowly is not taken for silent', async () => {
    const { relay, caller, called } = await relayed();
    relay.hold('up');
    const message = patterned(1, 4 * MiB);
    caller.stream.write(message);
    await until(() => relay.held > 4 * SILENT_LOOKS);
    for (let n = 0; n < 4 * SILENT_LOOKS; n += 1) {
      relay.releaseOne();
      await turns(10);
      await stage.look();
    }
    expect([caller.ends, called.ends, called.got]).toEqual([[], [], []]);
    relay.release();
    await until(() => called.got.length === 1);
    expect(called.got[0]!.equals(message)).toBe(true);
  });

  it('that stood still itself does not take the other for silent', async () => {
    const { relay, caller, called } = await relayed();
    relay.hold('up', 'down');
    stage.callerClock.advance(100 * SETTINGS.keepAliveMs);
    await turns(10);
    expect(caller.ends).toEqual([]);
    relay.release();
    await lookOften(relay, ['up', 'down']);
    expect([caller.ends, called.ends]).toEqual([[], []]);
  });

  it('says that it is there only when it has said nothing else', async () => {
    const { raw, called } = await stage.rawCall('hello');
    await stage.look();
    await until(() => raw.frames.length === 1);
    called.say('hello');
    await until(() => raw.frames.length === 2);
    await stage.look();
    await stage.look();
    await until(() => raw.frames.length === 3);
    expect(raw.frames.map(([kind]) => kind)).toEqual([KIND.alive, KIND.message, KIND.alive]);
  });

  it('that has ended well while the other did not read waits no longer when that one freezes', async () => {
    const { relay, caller, called } = await relayed();
    caller.stream.pause();
    for (let n = 0; n < 30; n += 1) called.stream.write(Buffer.alloc(MiB));
    called.stream.pause();
    called.stream.end();
    await turns(50);
    relay.frozen = true;
    for (let n = 1; n < SILENT_LOOKS; n += 1) await stage.look();
    expect(stage.clock.pendingTimers).toBe(1);
    await stage.look();
    await stage.look();
    await until(() => stage.clock.pendingTimers === 0);
  });

  it('that has ended, and has told, does not wait for long for the other to close', async () => {
    const { relay, called } = await relayed();
    relay.frozen = true;
    called.stream.end();
    await turns(20);
    stage.clock.advance(999);
    await turns(5);
    expect(stage.clock.pendingTimers).toBe(1);
    stage.clock.advance(1);
    await until(() => stage.clock.pendingTimers === 0);
    // Which waits for connections that are there.
    await stage.server.close(5000);
  });
});

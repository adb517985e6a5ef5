import { describe, expect, it } from 'vitest';
import { KIND } from '../../../src/transport/bulk/frames.ts';
import { turns } from '../../support/turns.ts';
import type { StreamEnd } from './bulk-stage.ts';
import { CHAT, SIDES, arePatterned, bulkStage, patterned, seenFrom, until } from './bulk-stage.ts';
import { frame } from './raw-caller.ts';

const MiB = 1024 * 1024;

const numbers = (count: number): string[] => Array.from({ length: count }, (_, n) => `${n}`);

describe('the writer of a bulk stream', () => {
  const stage = bulkStage();

  it.each(SIDES)(
    'at the %s end is held up while the reader does not read, and goes on after that',
    async (from) => {
      const [writer, reader] = seenFrom(from, await stage.pair());
      reader.stream.pause();
      let written = 0;
      while (writer.stream.write(patterned(written, 90_000))) {
        written += 1;
        if (written % 10 === 0) await turns(2);
      }
      written += 1;
      expect(written * 90_000).toBeLessThan(20 * MiB);
      await turns(50);
      expect(writer.stream.unsentBytes).toBeGreaterThan(MiB);
      expect([reader.got.length, writer.writable]).toEqual([0, 0]);
      const unsent = new Promise<number>((resolve) => {
        writer.stream.onWritable = () => {
          writer.writable += 1;
          resolve(writer.stream.unsentBytes);
        };
      });
      reader.stream.resume();
      expect(await unsent).toBeLessThanOrEqual(MiB / 2);
      await until(() => reader.got.length === written);
      expect(writer.writable).toBe(1);
      expect(arePatterned(reader.got, 90_000)).toBe(true);
      await until(() => writer.stream.unsentBytes === 0);
    },
  );

  it('is not told of room that it has not waited for', async () => {
    const { caller, called } = await stage.pair();
    expect(caller.stream.write(Buffer.alloc(MiB))).toBe(true);
    await until(() => called.got.length === 1 && caller.stream.unsentBytes === 0);
    await turns(10);
    expect(caller.writable).toBe(0);
  });

  it('hears nothing of room after the end', async () => {
    const { caller, called } = await stage.pair();
    called.stream.pause();
    while (caller.stream.write(Buffer.alloc(MiB)));
    caller.stream.end();
    called.stream.end();
    await caller.ended;
    await turns(20);
    expect(caller.writable).toBe(0);
  });
});

describe('the reader of a bulk stream', () => {
  const stage = bulkStage();

  /** Pauses from inside every message and goes on a few turns later. */
  function readOneByOne(end: StreamEnd): void {
    let isPaused = false;
    end.stream.onMessage = (message) => {
      if (isPaused) throw new Error('a message has come while the reader was paused');
      end.got.push(message);
      isPaused = true;
      end.stream.pause();
      setImmediate(() => {
        isPaused = false;
        end.stream.resume();
      });
    };
  }

  it.each(SIDES)('at the %s end gets nothing while it pauses, and everything after that', async (at) => {
    const [reader, writer] = seenFrom(at, await stage.pair());
    writer.say('before');
    await until(() => reader.got.length === 1);
    reader.stream.pause();
    writer.say(...numbers(1000));
    await turns(50);
    expect(reader.texts).toEqual(['before']);
    reader.stream.resume();
    await until(() => reader.got.length === 1001);
    expect(reader.texts).toEqual(['before', ...numbers(1000)]);
  });

  it.each(SIDES)('at the %s end may pause and go on from inside every message', async (at) => {
    const [reader, writer] = seenFrom(at, await stage.pair());
    readOneByOne(reader);
    const said = [...numbers(300), 'x'.repeat(100_000), ...numbers(300), ''];
    writer.say(...said);
    await until(() => reader.got.length === said.length || reader.ends.length > 0);
    expect(reader.texts).toEqual(said);
  });

  it('may pause in the middle of many messages that have come at once', async () => {
    const { raw, called } = await stage.rawCall();
    called.stream.onMessage = (message) => {
      called.got.push(message);
      if (called.got.length === 5) called.stream.pause();
    };
    raw.send(...numbers(100).map((text) => frame(KIND.message, text)));
    await until(() => called.got.length >= 5);
    await turns(20);
    expect(called.got).toHaveLength(5);
    raw.send(frame(KIND.message, 'later'));
    await turns(20);
    called.stream.resume();
    await until(() => called.got.length === 101);
    expect(called.texts).toEqual([...numbers(100), 'later']);
  });

  it('may pause and go on at once, inside a message or not', async () => {
    const { caller, called } = await stage.pair();
    called.stream.onMessage = (message) => {
      called.got.push(message);
      called.stream.pause();
      called.stream.resume();
      called.stream.pause();
      called.stream.resume();
    };
    called.stream.pause();
    called.stream.resume();
    caller.say(...numbers(500));
    await until(() => called.got.length === 500);
    expect(called.texts).toEqual(numbers(500));
  });

  it('that pauses again before what had come is gone on with gets nothing', async () => {
    const { raw, called } = await stage.rawCall();
    called.stream.onMessage = (message) => {
      called.got.push(message);
      called.stream.pause();
    };
    raw.send(...numbers(3).map((text) => frame(KIND.message, text)));
    await until(() => called.got.length === 1);
    called.stream.resume();
    called.stream.pause();
    await turns(20);
    expect(called.texts).toEqual(['0']);
    called.stream.resume();
    await until(() => called.got.length === 2);
    called.stream.resume();
    await until(() => called.got.length === 3);
    expect(called.texts).toEqual(numbers(3));
  });

  it.each(['before', 'while'])(
    'that pauses %s hands are shaken gets nothing, and holds the writer up',
    async (when) => {
      const relay = await stage.relay();
      relay.hold('up');
      const caller = stage.dial(CHAT, { port: relay.port });
      if (when === 'while') await until(() => relay.held > 0);
      caller.stream.pause();
      relay.release();
      await until(() => stage.called.length === 1);
      const called = stage.called[0]!;
      let written = 0;
      for (; written < 30 && called.stream.write(patterned(written, MiB)); written += 1) await turns(5);
      expect(written).toBeLessThan(30);
      expect(caller.got).toEqual([]);
      caller.stream.resume();
      await until(() => caller.got.length === written + 1);
      expect(arePatterned(caller.got, MiB)).toBe(true);
    },
  );

  it('that pauses does not hear of the end before it goes on', async () => {
    const { caller, called } = await stage.pair();
    caller.stream.pause();
    called.say('one', 'two');
    called.stream.end();
    await turns(50);
    expect([caller.got, caller.ends]).toEqual([[], []]);
    caller.stream.resume();
    expect(await caller.ended).toBeUndefined();
    expect(caller.texts).toEqual(['one', 'two']);
  });

  it('that ends from inside a message gets no more', async () => {
    const { caller, called } = await stage.pair();
    called.stream.onMessage = (message) => {
      called.got.push(message);
      called.stream.end();
    };
    caller.say(...numbers(10));
    expect(await caller.ended).toBeUndefined();
    expect(called.texts).toEqual(['0']);
  });

  it.each(['before', 'after'])(
    'that pauses %s it ends the stream is not in the way of the end',
    async (when) => {
      const { caller, called } = await stage.pair();
      if (when === 'before') called.stream.pause();
      called.stream.end();
      if (when === 'after') called.stream.pause();
      // The caller does not know yet.
      caller.stream.write(Buffer.alloc(4 * MiB));
      expect(await caller.ended).toBeUndefined();
      await until(() => stage.clock.pendingTimers === 0);
    },
  );
});

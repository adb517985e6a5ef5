import { describe, expect, it } from 'vitest';
import { SluiceError } from '../../../src/kernel/errors.ts';
import { KIND } from '../../../src/transport/bulk/frames.ts';
import { turns } from '../../support/turns.ts';
import { ECHO, SIDES, bulkStage, patterned, seenFrom, until } from './bulk-stage.ts';
import { frame, openFrame } from './raw-caller.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

describe('messages of a bulk stream', () => {
  const stage = bulkStage();

  it('come back from who echoes them, in their order', async () => {
    const caller = stage.dial(ECHO);
    const said = Array.from({ length: 10_000 }, (_, n) => `${n}`);
    caller.say(...said);
    await until(() => caller.got.length === said.length);
    expect(caller.texts).toEqual(said);
    expect(stage.callers).toEqual(['somebody']);
  });

  it('come as they are, whatever their size, one at a time', async () => {
    const { caller, called } = await stage.pair();
    const around = [0, 16 * KiB, 32 * KiB, MiB, 5 * MiB];
    const sizes = around.flatMap((size) => [-6, -5, -1, 0, 1].map((more) => Math.max(0, size + more)));
    for (const [n, size] of sizes.entries()) {
      caller.stream.write(patterned(n, size));
      await until(() => called.got.length > n);
      expect(called.got[n]!.equals(patterned(n, size)), `${size} bytes`).toBe(true);
    }
  });

  it.each(SIDES)('that the %s end writes all at once come as they are, in their order', async (from) => {
    const [writer, reader] = seenFrom(from, await stage.pair());
    const sizes = [0, 1, 100, 15_000, 20_000, 100_000, 300_000, MiB - 5, MiB, 3 * MiB];
    const all = Array.from({ length: 100 }, (_, n) => patterned(n, sizes[(n * 7) % sizes.length]!));
    for (const message of all) writer.stream.write(message);
    await until(() => reader.got.length === all.length);
    expect(reader.got.every((message, n) => message.equals(all[n]!))).toBe(true);
  });

  it('come as they are while many streams share the memory from which they are sent', async () => {
    const callers = Array.from({ length: 8 }, () => stage.dial(ECHO));
    const all = callers.map((_, n) =>
      Array.from({ length: 40 }, (_, k) => patterned(n * 1000 + k, 20_000 + 7000 * ((n + k) % 12))),
    );
    for (let k = 0; k < 40; k += 1) {
      callers.forEach(({ stream }, n) => stream.write(all[n]![k]!));
      if (k % 5 === 4) await turns(1);
    }
    await until(() => callers.every(({ got }) => got.length === 40));
    callers.forEach(({ got }, n) => {
      expect(got.every((message, k) => message.equals(all[n]![k]!))).toBe(true);
    });
  });

  it('come as they were when they were written, though the writer uses their memory again', async () => {
    const caller = stage.dial(ECHO);
    const message = Buffer.alloc(200_000, 'a');
    caller.stream.write(message);
    message.fill('b');
    caller.stream.write(message);
    message.fill('c');
    await until(() => caller.got.length === 2);
    expect(caller.got.map((got) => new Set(got).size)).toEqual([1, 1]);
    expect(caller.got.map((got) => String.fromCharCode(got[0]!))).toEqual(['a', 'b']);
  });

  it('that are written before there is a connection wait for it', async () => {
    const caller = stage.dial();
    caller.say('early', 'and more');
    expect(stage.called).toEqual([]);
    await until(() => stage.called[0]?.got.length === 2);
    expect(stage.called[0]!.texts).toEqual(['early', 'and more']);
  });

  it('come however the bytes between the ends are cut', async () => {
    const raw = await stage.raw();
    raw.socket.setNoDelay(true);
    const wire = Buffer.concat([openFrame(ECHO.path), frame(KIND.message, 'one'), frame(KIND.message)]);
    for (const byte of wire) {
      raw.send(Buffer.from([byte]));
      await turns(1);
    }
    await until(() => raw.frames.length === 2);
    expect(raw.frames).toEqual([
      [KIND.message, 'one'],
      [KIND.message, ''],
    ]);
  });

  it('come together with what opens the stream', async () => {
    const { called } = await stage.rawCall('one', 'two');
    expect(called.texts).toEqual(['one', 'two']);
  });
});

describe('a bulk stream', () => {
  const stage = bulkStage();

  it('that the caller ends well brings what was written at both ends, and is over at both', async () => {
    const caller = stage.dial(ECHO);
    const said = Array.from({ length: 100 }, (_, n) => patterned(n, n * 1000));
    for (const message of said) caller.stream.write(message);
    caller.stream.end();
    expect(await caller.ended).toBeUndefined();
    expect(caller.got).toHaveLength(100);
    expect(caller.got.every((message, n) => message.equals(said[n]!))).toBe(true);
    expect(stage.called[0]!.ends).toEqual([undefined]);
  });

  it('that the called end ends well brings what was written before, and is over at both', async () => {
    const { caller, called } = await stage.pair();
    const message = patterned(1, 4 * MiB);
    called.stream.write(message);
    called.say('last');
    called.stream.end();
    called.say('nobody hears this');
    expect(await caller.ended).toBeUndefined();
    expect(caller.got.map(({ length }) => length)).toEqual([4 * MiB, 4]);
    expect(called.ends).toEqual([undefined]);
  });

  it('that is ended well waits for a reader that is slow, as long as it is there', async () => {
    const { caller, called } = await stage.pair();
    caller.stream.pause();
    const message = patterned(1, 4 * MiB);
    for (let n = 0; n < 5; n += 1) called.stream.write(message);
    called.stream.end();
    for (let n = 0; n < 10; n += 1) await stage.look(50);
    caller.stream.resume();
    expect(await caller.ended).toBeUndefined();
    expect(caller.got.map((got) => got.equals(message))).toEqual([true, true, true, true, true]);
  });

  it('that the called end ends with an error tells its code and text', async () => {
    const { caller, called } = await stage.pair();
    called.say('before');
    called.stream.end(new SluiceError('NOT_ENOUGH_REPLICAS', 'too few:\n1 of 3, gr\u{fc}\u{df}e'));
    expect(await caller.ended).toMatchObject({
      code: 'NOT_ENOUGH_REPLICAS',
      message: 'too few:\n1 of 3, gr\u{fc}\u{df}e',
    });
    expect(caller.texts).toEqual(['before']);
    expect(await called.ended).toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' });
  });

  it('that the caller gives up is over at once there, and the called end is told', async () => {
    const { caller, called } = await stage.pair();
    caller.stream.end(new SluiceError('CANCELLED', 'enough'));
    called.say('nobody hears this');
    expect(await caller.ended).toMatchObject({ code: 'CANCELLED' });
    expect(await called.ended).toMatchObject({ code: 'UNAVAILABLE' });
    expect(caller.got).toEqual([]);
  });

  it('ends once, however often and at how many ends it is ended', async () => {
    const { caller, called } = await stage.pair();
    called.stream.end();
    called.stream.end();
    called.stream.end(new SluiceError('INTERNAL', 'late'));
    caller.stream.end();
    caller.stream.end();
    await Promise.all([caller.ended, called.ended]);
    caller.stream.end(new SluiceError('INTERNAL', 'late'));
    called.stream.end(new SluiceError('INTERNAL', 'late'));
    await turns(30);
    expect([caller.ends, called.ends]).toEqual([[undefined], [undefined]]);
  });

  it('whose connection is lost is over at both ends', async () => {
    const relay = await stage.relay();
    const { caller, called } = await stage.pair({ port: relay.port });
    relay.cut();
    expect(await caller.ended).toMatchObject({ code: 'UNAVAILABLE' });
    expect(await called.ended).toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('whose connection is closed without a word is over with UNAVAILABLE', async () => {
    const { raw, called } = await stage.rawCall('one');
    raw.socket.end();
    expect(await called.ended).toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('ends with the error at both ends when the called end cannot read a message', async () => {
    const { caller, called } = await stage.pair();
    caller.say('readable', 'unreadable', 'never seen');
    expect(await caller.ended).toMatchObject({ code: 'PROTOCOL_ERROR', message: 'no bytes' });
    expect(await called.ended).toMatchObject({ code: 'PROTOCOL_ERROR' });
    expect(called.texts).toEqual(['readable']);
  });

  it('ends when the caller cannot read a message', async () => {
    const { caller, called } = await stage.pair();
    called.say('readable', 'unreadable', 'never seen');
    expect(await caller.ended).toMatchObject({ code: 'PROTOCOL_ERROR', message: 'no bytes' });
    expect(await called.ended).toMatchObject({ code: 'UNAVAILABLE' });
    expect(caller.texts).toEqual(['readable']);
  });

  it.each(SIDES)('ends with OVERLOADED at both ends when the %s end says too much at once', async (from) => {
    const [writer, reader] = seenFrom(from, await stage.pair());
    writer.stream.write(Buffer.alloc(8 * MiB));
    writer.stream.write(Buffer.alloc(8 * MiB + 1));
    writer.stream.write(Buffer.alloc(8 * MiB));
    expect(await writer.ended).toMatchObject({ code: 'OVERLOADED' });
    expect(await reader.ended).toMatchObject({ code: 'OVERLOADED' });
    expect(reader.got).toHaveLength(1);
  });

  it.each(SIDES)(
    'ends with INTERNAL when the %s end fails with a message, and the other is not told what happened',
    async (at) => {
      const [reader, writer] = seenFrom(at, await stage.pair());
      reader.stream.onMessage = () => {
        throw new TypeError('secret');
      };
      writer.say('hello');
      const told = await writer.ended;
      expect(told?.code).toBe('INTERNAL');
      expect(told?.message).not.toContain('secret');
      expect(await reader.ended).toMatchObject({ code: 'INTERNAL', message: 'secret' });
    },
  );

  it('does not disturb the others when it ends', async () => {
    const one = await stage.pair();
    const other = await stage.pair();
    one.called.stream.end(new SluiceError('CLOSED', 'enough'));
    await one.caller.ended;
    other.caller.say('hello');
    await until(() => other.called.got.length === 1);
    expect(other.caller.ends).toEqual([]);
  });
});

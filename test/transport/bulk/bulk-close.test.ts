import { describe, expect, it } from 'vitest';
import { SluiceError } from '../../../src/kernel/errors.ts';
import { NodeAuthority } from '../../support/node-certificates.ts';
import { turns } from '../../support/turns.ts';
import type { StreamEnd } from './bulk-stage.ts';
import { CHAT, arePatterned, bulkStage, patterned, tlsOfA, tlsOfB, until } from './bulk-stage.ts';

const MiB = 1024 * 1024;
const strangers = await NodeAuthority.create();

/** Whether a promise is settled by now. */
function watch(promise: Promise<unknown>): { done: boolean } {
  const watched = { done: false };
  void promise.then(() => (watched.done = true));
  return watched;
}

describe('a server with bulk streams that closes', () => {
  const stage = bulkStage();

  it('waits for streams to end, and no longer', async () => {
    const [one, other] = [await stage.pair(), await stage.pair()];
    const closing = stage.server.close(5000);
    const watched = watch(closing);
    one.caller.say('still heard');
    await until(() => one.called.got.length === 1);
    one.called.stream.end();
    await one.caller.ended;
    stage.clock.advance(4999);
    await turns(20);
    expect([watched.done, other.caller.ends]).toEqual([false, []]);
    other.caller.stream.end(new SluiceError('CANCELLED', 'enough'));
    await closing;
    expect(stage.clock.pendingTimers).toBe(0);
  });

  it('cuts off after a while those that have not ended', async () => {
    const { caller, called } = await stage.pair();
    const closing = stage.server.close(5000);
    await turns(20);
    expect(caller.ends).toEqual([]);
    stage.clock.advance(5000);
    await closing;
    expect(await caller.ended).toMatchObject({ code: 'UNAVAILABLE' });
    expect(await called.ended).toMatchObject({ code: 'UNAVAILABLE' });
    expect(stage.clock.pendingTimers).toBe(0);
  });

  it('waits until what was written before the end has gone', async () => {
    const { caller, called } = await stage.pair();
    caller.stream.pause();
    for (let n = 0; n < 20; n += 1) called.stream.write(patterned(n, MiB));
    called.stream.end();
    const closing = stage.server.close(5000);
    const watched = watch(closing);
    stage.clock.advance(4000);
    await turns(50);
    expect(watched.done).toBe(false);
    caller.stream.resume();
    expect(await caller.ended).toBeUndefined();
    expect(arePatterned(caller.got, MiB)).toBe(true);
    expect(caller.got).toHaveLength(20);
    await closing;
  });

  it('is closed at once when there are none', async () => {
    const { caller, called } = await stage.pair();
    called.stream.end();
    await caller.ended;
    await until(() => stage.clock.pendingTimers === 0);
    await stage.server.close(5000);
  });

  it('lets nobody in any more', async () => {
    const { caller } = await stage.pair();
    const closing = stage.server.close(5000);
    const late = stage.dial();
    expect(await late.ended).toMatchObject({ code: 'UNAVAILABLE' });
    expect(stage.called).toHaveLength(1);
    caller.stream.end();
    await closing;
  });

  it('does not let in who is shaking hands with it', async () => {
    const relay = await stage.relay();
    relay.hold('up');
    const caller = stage.dial(CHAT, { port: relay.port });
    caller.say('hello');
    await until(() => relay.held > 0);
    await stage.server.close(5000);
    relay.release();
    expect(await caller.ended).toMatchObject({ code: 'UNAVAILABLE' });
    expect(stage.called).toEqual([]);
  });
});

describe('certificates of bulk streams that are replaced', () => {
  const stage = bulkStage();

  it('hold for connections to come, while those that are open go on', async () => {
    const { caller, called } = await stage.pair();
    stage.server.setTls(await strangers.tls('b'));
    caller.say('still here');
    await until(() => called.got.length === 1);

    expect(await stage.dial().ended).toMatchObject({ code: 'UNAVAILABLE' });
    const renewed = await stage.pair({ tls: await strangers.tls('a') });
    renewed.caller.say('hello');
    await until(() => renewed.called.got.length === 1);
    expect(stage.called).toHaveLength(2);
  });

  it('stay as they are when the new ones cannot be used', async () => {
    const mixed = {
      ...tlsOfB,
      identity: { ...tlsOfB.identity, privateKeyPem: tlsOfA.identity.privateKeyPem },
    };
    expect(() => stage.server.setTls(mixed)).toThrow(expect.objectContaining({ code: 'INVALID_CONFIG' }));
    await stage.pair();
  });
});

describe('nothing is left of a bulk stream', () => {
  const stage = bulkStage();

  it.each<[string, (caller: StreamEnd, called: StreamEnd) => unknown]>([
    ['the caller has ended well', (caller) => caller.stream.end()],
    ['the caller has given up', (caller) => caller.stream.end(new SluiceError('CANCELLED', 'enough'))],
    ['the called end has ended well', (_, called) => called.stream.end()],
    ['the called end has ended badly', (_, called) => called.stream.end(new SluiceError('CLOSED', 'no'))],
    ['the called end cannot read', (caller) => caller.say('unreadable')],
    ['the caller cannot read', (_, called) => called.say('unreadable')],
    ['too much was said', (caller) => caller.stream.write(Buffer.alloc(8 * MiB + 1))],
    ['the server was closed', () => stage.stop()],
  ])('that %s', async (_, end) => {
    const relay = await stage.relay();
    const { caller, called } = await stage.pair({ port: relay.port });
    caller.say('something');
    await until(() => called.got.length === 1);
    expect([relay.open.size, stage.clock.pendingTimers, stage.callerClock.pendingTimers]).toEqual([2, 1, 1]);
    await end(caller, called);
    await Promise.all([caller.ended, called.ended]);
    await until(() => relay.open.size === 0);
    await until(() => stage.clock.pendingTimers === 0 && stage.callerClock.pendingTimers === 0);
    await turns(5);
    expect([caller.ends.length, called.ends.length]).toEqual([1, 1]);
    expect([stage.clock.pendingTimers, stage.callerClock.pendingTimers]).toEqual([0, 0]);
  });

  it('that is given up before there is a connection', async () => {
    const relay = await stage.relay();
    const caller = stage.dial(CHAT, { port: relay.port });
    caller.stream.end(new SluiceError('CANCELLED', 'enough'));
    expect(await caller.ended).toMatchObject({ code: 'CANCELLED' });
    await until(() => relay.open.size === 0 && stage.callerClock.pendingTimers === 0);
    expect(stage.called).toEqual([]);
  });
});

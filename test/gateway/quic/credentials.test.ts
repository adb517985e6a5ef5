import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { errorCodeFromWire } from '../../../src/kernel/errors.ts';
import { FRAME } from '../../../src/wire/frame.ts';
import { GatewayStage } from './gateway-stage.ts';
import type { NativeClient } from './native-client.ts';
import { batchOf, produce, settle } from './native-client.ts';

const CHECK_MS = 1000;
const GOODBYE_MS = 50;

describe('a token that was shown', () => {
  let stage: GatewayStage;
  let alice: NativeClient;
  let bob: NativeClient;
  beforeEach(async () => {
    stage = await GatewayStage.open({ tokens: { alice: 'slt_a', bob: 'slt_b' } });
    alice = await stage.connect();
    await alice.hello({ token: 'slt_a' });
    bob = await stage.connect();
    await bob.hello({ token: 'slt_b' });
  });
  afterEach(async () => stage[Symbol.asyncDispose]());

  it('ends its connections with UNAUTHENTICATED within a second of not being good any more', async () => {
    stage.revoked.add('slt_a');
    stage.clock.advance(CHECK_MS);
    expect(await alice.control.error()).toBe('UNAUTHENTICATED');
    stage.clock.advance(GOODBYE_MS);
    expect(errorCodeFromWire((await alice.closed).errorCode)).toBe('UNAUTHENTICATED');
  });

  it('stops deliveries and publishes at once then', async () => {
    await alice.request({ case: 'subscribe', value: { subscriptionId: 1, filter: 'news' } });
    const { channel } = await alice.delivery();
    const publishing = alice.bidi();
    await produce(publishing, 'news', batchOf(['before']));
    await channel.expect(FRAME.BATCH);
    stage.revoked.add('slt_a');
    stage.clock.advance(CHECK_MS);
    expect((await produce(publishing, 'news', batchOf(['late']))).error).toBe('CLOSED');
    await produce(bob.bidi(), 'news', batchOf(['not for alice']));
    await settle();
    expect([channel.waiting.length, stage.gateway.gauges().deliveryStreams]).toEqual([0, 0]);
  });

  it('leaves the connections of others alone', async () => {
    stage.revoked.add('slt_a');
    stage.clock.advance(CHECK_MS + GOODBYE_MS);
    await alice.closed;
    stage.clock.advance(10 * CHECK_MS);
    expect((await produce(bob.bidi(), 'news', batchOf(['still here']))).error).toBeUndefined();
  });

  it('is looked after only while there is a connection', async () => {
    alice.connection.close(0, '');
    bob.connection.close(0, '');
    await settle();
    stage.clock.advance(CHECK_MS);
    const timers = stage.clock.pendingTimers;
    const late = await stage.connect();
    await late.hello({ token: 'slt_b' });
    expect(stage.clock.pendingTimers - timers).toBe(1);
  });
});

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GoAwaySchema } from '../../../src/gen/sluice/client/v1/control_pb.ts';
import { DEFAULT_GATEWAY_LIMITS } from '../../../src/gateway/quic/limits.ts';
import { decodeControl } from '../../../src/wire/control.ts';
import { decodeEnd } from '../../../src/wire/delivery.ts';
import { FRAME } from '../../../src/wire/frame.ts';
import { GatewayStage } from './gateway-stage.ts';
import type { NativeClient } from './native-client.ts';
import { batchOf, produce, produceFrame, settle, until } from './native-client.ts';

const GOODBYE_MS = 50;
const STAY_MS = 500;

describe('drain', () => {
  let stage: GatewayStage;
  let client: NativeClient;
  beforeEach(async () => {
    stage = await GatewayStage.open();
    client = await stage.client();
  });
  afterEach(async () => stage[Symbol.asyncDispose]());

  const drain = (): { done: boolean } => {
    const state = { done: false };
    void stage.gateway.drain('maintenance', ['quic://other:7450']).then(() => {
      state.done = true;
    });
    return state;
  };

  it('says GOAWAY with where to go', async () => {
    drain();
    const { payload } = await client.control.expect(FRAME.GOAWAY);
    const { reason, alternatives } = decodeControl(GoAwaySchema, payload);
    expect([reason, alternatives]).toEqual(['maintenance', ['quic://other:7450']]);
  });

  it('ends deliveries with END(DRAINING) after what they have delivered', async () => {
    await client.request({ case: 'subscribe', value: { subscriptionId: 1, filter: 'news' } });
    const { channel } = await client.delivery();
    await produce(client.bidi(), 'news', batchOf(['last words']));
    drain();
    await channel.expect(FRAME.BATCH);
    expect(decodeEnd((await channel.expect(FRAME.END)).payload).error).toBe('DRAINING');
    expect(await channel.ended).toBe('end');
  });

  it('ends a raw subscription with the code DRAINING', async () => {
    const raw = await stage.connect();
    raw.control.frame(FRAME.SUBSCRIBE, 'news');
    await until(() => stage.gateway.gauges().deliveryStreams === 1);
    drain();
    expect(await (await raw.rawDelivery()).ended).toBe('reset DRAINING');
  });

  it('refuses publishes and subscriptions that come later', async () => {
    const stream = client.bidi();
    await produce(stream, 'news', batchOf(['before']));
    drain();
    await client.control.expect(FRAME.GOAWAY);
    expect((await produce(stream, 'news', batchOf(['after']))).error).toBe('DRAINING');
    const subscribe = { case: 'subscribe', value: { subscriptionId: 1, filter: 'news' } } as const;
    expect(await client.refusal(subscribe)).toBe('DRAINING');
  });

  it('waits for the outcome of what it received before, and answers it', async () => {
    const { broker } = stage;
    const publish = broker.publish.bind(broker);
    let store: (() => void) | undefined;
    broker.publish = (...parameters) => {
      store = () => publish(...parameters);
    };
    const stream = client.bidi();
    stream.write(produceFrame('news', batchOf(['x'])));
    await until(() => store !== undefined);
    const state = drain();
    client.control.send!.end();
    await settle();
    stage.clock.advance(GOODBYE_MS);
    store!();
    expect((await stream.next()).type).toBe(FRAME.PRODUCED);
    await settle();
    stage.clock.advance(GOODBYE_MS);
    expect((await client.closed).errorCode).toBe(0);
    await until(() => state.done);
  });

  it('closes without an error once the client has ended its control stream', async () => {
    const state = drain();
    await client.control.expect(FRAME.GOAWAY);
    expect(state.done).toBe(false);
    client.control.send!.end();
    await settle();
    stage.clock.advance(GOODBYE_MS);
    const { errorCode, by } = await client.closed;
    expect([errorCode, by]).toEqual([0, 'peer']);
    await until(() => state.done);
  });

  it('sends a client away that stays although everything is answered', async () => {
    const state = drain();
    await client.control.expect(FRAME.GOAWAY);
    stage.clock.advance(STAY_MS - 1);
    await settle();
    stage.clock.advance(GOODBYE_MS);
    await settle();
    expect(state.done).toBe(false);
    stage.clock.advance(GOODBYE_MS);
    expect((await client.closed).errorCode).toBe(0);
    await until(() => state.done);
  });

  it('sends a client away at the drain timeout, whatever is not answered by then', async () => {
    stage.broker.publish = () => undefined; // takes it, and never answers
    const stream = client.bidi();
    stream.write(produceFrame('news', batchOf(['x'])));
    await settle();
    const state = drain();
    await client.control.expect(FRAME.GOAWAY);
    stage.clock.advance(DEFAULT_GATEWAY_LIMITS.drainTimeoutMs - 1);
    await settle();
    expect(state.done).toBe(false);
    stage.clock.advance(1);
    const { errorCode, reason } = await client.closed;
    expect([errorCode, reason]).toEqual([0, 'maintenance']);
    await until(() => state.done);
  });

  it('leaves no timer behind when clients go by themselves', async () => {
    const timers = stage.clock.pendingTimers;
    const state = drain();
    client.connection.close(0, 'gone');
    await until(() => state.done);
    expect(stage.clock.pendingTimers).toBe(timers);
  });

  it('is over when the client closes the connection itself', async () => {
    const state = drain();
    client.connection.close(0, 'gone');
    await until(() => state.done);
    expect(stage.gateway.gauges().connections).toBe(0);
  });

  it('lets a connection without a control stream go at once', async () => {
    const silent = await stage.connect();
    client.connection.close(0, '');
    await settle();
    const state = drain();
    stage.clock.advance(GOODBYE_MS);
    expect((await silent.closed).errorCode).toBe(0);
    await until(() => state.done);
  });

  it('drains connections that still come', async () => {
    drain();
    const late = await stage.connect();
    late.sendHello();
    await settle();
    stage.clock.advance(GOODBYE_MS);
    expect((await late.closed).errorCode).toBe(0);
  });
});

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { errorCodeFromWire } from '../../../src/kernel/errors.ts';
import type { LogFields } from '../../../src/telemetry/logger.ts';
import { silentLogger } from '../../../src/telemetry/logger.ts';
import { GatewayStage } from './gateway-stage.ts';
import type { NativeClient } from './native-client.ts';
import { settle } from './native-client.ts';

const GOODBYE_MS = 50;
/** Failures that one place may have at once. */
const BURST = 20;

describe('authentication', () => {
  let stage: GatewayStage;
  let events: { evt: string; fields: LogFields | undefined }[];

  beforeEach(async () => {
    events = [];
    const note = (evt: string, fields?: LogFields): void => {
      if (evt.startsWith('security.')) events.push({ evt, fields });
    };
    stage = await GatewayStage.open({
      tokens: { alice: 'slt_a' },
      log: { ...silentLogger, info: note, warn: note },
    });
  });
  afterEach(async () => stage[Symbol.asyncDispose]());

  async function guess(): Promise<NativeClient> {
    const client = await stage.connect();
    client.sendHello({ token: 'slt_wrong' });
    await settle();
    return client;
  }

  async function guessTimes(times: number): Promise<void> {
    for (let i = 0; i < times; i += 1) await guess();
  }

  it('is written to the log when it succeeds: who, and from where', async () => {
    const client = await stage.connect();
    await client.hello({ token: 'slt_a' });
    const { remoteAddress } = stage.serverEnds[0]!;
    expect(events).toEqual([
      { evt: 'security.authenticated', fields: { principal: 'alice', kind: 'token', remoteAddress } },
    ]);
  });

  it('is written to the log when it fails', async () => {
    await guess();
    const { remoteAddress } = stage.serverEnds[0]!;
    expect(events).toEqual([
      { evt: 'security.authentication_failed', fields: { code: 'UNAUTHENTICATED', remoteAddress } },
    ]);
  });

  it('is refused at once as long as a place fails seldom', async () => {
    await guessTimes(BURST - 1);
    expect(await (await guess()).control.error()).toBe('UNAUTHENTICATED');
  });

  it('is refused later when a place fails often', async () => {
    await guessTimes(BURST);
    const client = await guess();
    stage.clock.advance(199);
    await settle();
    const before = client.control.waiting.length;
    stage.clock.advance(1);
    expect([before, await client.control.error()]).toEqual([0, 'UNAUTHENTICATED']);
    stage.clock.advance(GOODBYE_MS);
    expect(errorCodeFromWire((await client.closed).errorCode)).toBe('UNAUTHENTICATED');
  });

  it('takes nothing from a client whose refusal waits', async () => {
    await guessTimes(BURST);
    const client = await guess();
    client.sendHello({ token: 'slt_a' });
    client.bidi().send!.write(Buffer.from('anything'));
    await settle();
    expect([client.control.waiting.length, stage.gateway.gauges().publishStreams]).toEqual([0, 0]);
  });

  it('succeeds at once from a place that others fail from', async () => {
    await guessTimes(5 * BURST);
    const client = await stage.connect();
    expect((await client.hello({ token: 'slt_a' })).principal).toBe('alice');
  });

  it('leaves nothing behind when a client goes while its refusal waits', async () => {
    await guessTimes(BURST);
    stage.clock.advance(10_000);
    await settle();
    const { pendingTimers } = stage.clock;
    await guessTimes(BURST);
    const client = await guess();
    client.connection.close(0, '');
    await settle();
    stage.clock.advance(10_000);
    await settle();
    expect([stage.gateway.gauges().connections, stage.clock.pendingTimers]).toEqual([0, pendingTimers]);
  });

  it('has to come before more streams than a stranger may open', async () => {
    await stage[Symbol.asyncDispose]();
    stage = await GatewayStage.open({ tokens: { alice: 'slt_a' }, limits: { maxStrangerStreams: 3 } });
    const open = (client: NativeClient, streams: number): void => {
      for (let opened = 0; opened < streams; opened += 1) client.bidi().write(Buffer.alloc(1));
    };
    const [known, stranger] = [await stage.connect(), await stage.connect()];
    await known.hello({ token: 'slt_a' });
    open(known, 10);
    open(stranger, 3); // the first is its control stream
    await settle();
    expect(stage.gateway.gauges()).toMatchObject({ connections: 2, publishStreams: 12 });
    open(stranger, 1);
    await settle();
    stage.clock.advance(GOODBYE_MS);
    await settle();
    expect(stage.gateway.gauges()).toMatchObject({ connections: 1, publishStreams: 10 });
    expect(errorCodeFromWire((await stranger.closed).errorCode)).toBe('OVERLOADED');
  });

  it('is counted when it fails, and when its refusal waits', async () => {
    await guessTimes(BURST + 3);
    const { failed, slowed } = stage.gateway.failedAuthentications;
    expect([failed, slowed]).toEqual([BURST + 3, 3]);
  });
});

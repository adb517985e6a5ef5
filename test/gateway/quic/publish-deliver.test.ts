import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FRAME } from '../../../src/wire/frame.ts';
import { batchBaseOffset } from '../../../src/wire/record-batch.ts';
import { GatewayStage } from './gateway-stage.ts';
import { batchOf, produce, receive } from './native-client.ts';

describe('publish and deliver', () => {
  let stage: GatewayStage;
  beforeEach(async () => {
    stage = await GatewayStage.open();
  });
  afterEach(async () => stage[Symbol.asyncDispose]());

  it('delivers what is published after a subscription from latest', async () => {
    const client = await stage.client();
    await client.request({ case: 'subscribe', value: { subscriptionId: 7, filter: 'news' } });
    const { channel, topic, open } = await client.delivery();
    await produce(client.bidi(), 'news', batchOf(['one', 'two']));
    expect(await receive(channel, 2)).toEqual(['one', 'two']);
    expect([topic, open.subscriptionId, open.partition, open.firstOffset]).toEqual(['news', 7, 0, 0n]);
  });

  it('delivers what was published before to a subscription from earliest', async () => {
    const client = await stage.client();
    const stream = client.bidi();
    await produce(stream, 'news', batchOf(['one']));
    await produce(stream, 'news', batchOf(['two']));
    await client.request({
      case: 'subscribe',
      value: { subscriptionId: 1, filter: 'news', start: { at: { case: 'earliest', value: true } } },
    });
    const { channel } = await client.delivery();
    expect(await receive(channel, 2)).toEqual(['one', 'two']);
  });

  it('answers publishes in order with partition and offset', async () => {
    const client = await stage.client();
    const stream = client.bidi();
    const first = await produce(stream, 'news', batchOf(['a', 'b']), { correlation: 5 });
    const second = await produce(stream, 'news', batchOf(['c']), { correlation: 9 });
    expect([first.correlation, first.baseOffset]).toEqual([5, 0]);
    expect([second.correlation, second.baseOffset, second.partition]).toEqual([9, 2, 0]);
  });

  it('stamps the offset into the batch it delivers', async () => {
    const client = await stage.client();
    const stream = client.bidi();
    await produce(stream, 'news', batchOf(['a', 'b', 'c']));
    await client.request({ case: 'subscribe', value: { subscriptionId: 1, filter: 'news' } });
    const { channel } = await client.delivery();
    await produce(stream, 'news', batchOf(['d']));
    expect(batchBaseOffset((await channel.expect(FRAME.BATCH)).payload)).toBe(3);
  });
});

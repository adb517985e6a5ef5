import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Acks, MessageService } from '../../../src/gen/sluice/messages/v1/messages_pb.ts';
import { SluiceError } from '../../../src/kernel/errors.ts';
import { turns } from '../../support/turns.ts';
import type { GrpcTestClient } from './grpc-stage.ts';
import { GrpcStage } from './grpc-stage.ts';

const MiB = 1024 * 1024;
const { publish, publishStream } = MessageService.method;
const text = (value: string): { body: Buffer } => ({ body: Buffer.from(value) });

describe('publishing over gRPC', () => {
  let stage: GrpcStage;
  let client: GrpcTestClient;

  beforeEach(async () => {
    stage = await GrpcStage.open();
    client = stage.client();
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  it('stores body, key, headers, and what else a message has as headers', async () => {
    const message = {
      ...{ body: Buffer.from('b'), key: Buffer.from('k'), headers: [{ key: 'h', value: Buffer.from('v') }] },
      ...{ correlationId: 'c', deliverAt: timestampFromMs(1_234), expireAt: timestampFromMs(5_678) },
    };
    await client.call(publish, { topic: 't', messages: [message] });
    expect(stage.broker.batches).toEqual([
      [
        {
          ...{ topic: 't', key: 'k', value: 'b' },
          headers: {
            ...{ h: 'v', 'correlation-id': 'c', 'sluice-deliver-at': '1234', 'sluice-expire-at': '5678' },
          },
        },
      ],
    ]);
  });

  it('stores messages that are larger than what of a call is worked on at once', async () => {
    await using wide = await GrpcStage.open({ limits: { maxMessageBytes: 8 * MiB } });
    const message = { body: Buffer.alloc(2 * MiB, 'x') };
    await wide.client().call(publish, { topic: 't', messages: [message] });
    const { write, stream, answer } = wide.client().clientStream(publishStream);
    for (let count = 0; count < 3; count++) write({ topic: 't', message });
    stream.end();
    expect(await answer).toMatchObject({ published: 3n });
  });

  it('says where each message is', async () => {
    const { results } = await client.call(publish, {
      topic: 't',
      messages: ['a', 'b'].map(text),
      partition: 3,
    });
    expect(results.map(({ partition, offset }) => [partition, offset])).toEqual([
      [3, 0n],
      [3, 1n],
    ]);
  });

  it.each([
    [Acks.NONE, 0],
    [Acks.LEADER, 1],
    [Acks.ALL, 2],
    [Acks.UNSPECIFIED, 2],
  ])('with acks %i is answered as %i says', async (acks, expected) => {
    await client.call(publish, { topic: 't', messages: [text('a')], acks });
    expect(stage.broker.acks).toEqual([expected]);
  });

  it('makes one batch of messages without key, and one of each key', async () => {
    const messages = ['a', 'b', 'a', ''].map((key) => ({
      ...text('x'),
      ...(key && { key: Buffer.from(key) }),
    }));
    await client.call(publish, { topic: 't', messages: [...messages, text('y')] });
    expect(stage.broker.batches.map((batch) => batch.map(({ key }) => key))).toEqual([
      ['a', 'a'],
      ['b'],
      [null, null],
    ]);
  });

  it('stores what topics with smaller batches refuse one by one', async () => {
    stage.broker.refuse = (records) =>
      records.length > 1 ? new SluiceError('BATCH_TOO_LARGE', 'too large') : undefined;
    const { results } = await client.call(publish, { topic: 't', messages: ['a', 'b', 'c'].map(text) });
    expect(results.map(({ offset }) => offset)).toEqual([0n, 1n, 2n]);
  });

  it('of a single message fails with its error', async () => {
    stage.broker.refuse = () => new SluiceError('FORBIDDEN', 'no');
    await expect(client.call(publish, { topic: 't', messages: [text('a')] })).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: 'no',
    });
    expect(stage.gateway.counters.errors).toEqual(new Map([['FORBIDDEN', 1]]));
  });

  it('of several messages tells how each fared', async () => {
    stage.broker.refuse = ([first]) =>
      first!.key === 'bad' ? new SluiceError('OVERLOADED', 'full') : undefined;
    const messages = ['good', 'bad'].map((key) => ({ ...text('x'), key: Buffer.from(key) }));
    const { results } = await client.call(publish, { topic: 't', messages });
    expect(results.map(({ failure }) => failure && [failure.code, failure.retryable])).toEqual([
      undefined,
      ['OVERLOADED', true],
    ]);
  });

  it('refuses requests without messages, and keys that are too large', async () => {
    await expect(client.call(publish, { topic: 't', messages: [] })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    const message = { body: Buffer.alloc(0), key: Buffer.alloc(1025) };
    await expect(client.call(publish, { topic: 't', messages: [message] })).rejects.toMatchObject({
      code: 'KEY_TOO_LARGE',
    });
  });

  it('takes a stream, and counts what it stored', async () => {
    const { stream, write, answer } = client.clientStream(publishStream);
    write({ topic: 't', message: text('a'), acks: Acks.LEADER });
    write({ message: text('b') });
    write({ topic: 'u', message: text('c') });
    stream.end();
    expect((await answer).published).toBe(3n);
    const topics = stage.broker.batches.flat().map(({ topic, value }) => `${topic} ${value}`);
    expect(topics).toEqual(['t a', 't b', 'u c']);
    expect(new Set(stage.broker.acks)).toEqual(new Set([1]));
  });

  it('ends a stream with its first error', async () => {
    stage.broker.refuse = ([first]) =>
      first!.value === 'bad' ? new SluiceError('FORBIDDEN', '') : undefined;
    const { write, answer } = client.clientStream(publishStream);
    write({ topic: 't', message: text('bad') });
    await expect(answer).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  it('refuses a request of a stream without message', async () => {
    const { write, answer } = client.clientStream(publishStream);
    write({ topic: 't' });
    await expect(answer).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('takes no more of a stream than the broker has stored, and then the rest', async () => {
    stage.broker.hold = true;
    const { stream, write, answer } = client.clientStream(publishStream);
    const message = { body: Buffer.alloc(300_000) };
    for (let count = 0; count < 20; count++) write({ topic: 't', message });
    stream.end();
    await settledAt(() => stage.broker.held.length);
    expect(stage.broker.held.length).toBeLessThan(8);
    expect(stage.gateway.heldBytes).toBeLessThan(3_000_000);
    stage.broker.hold = false;
    for (const release of stage.broker.held) release();
    expect((await answer).published).toBe(20n);
    expect(stage.gateway.heldBytes).toBe(0);
  });
});

/** Waits until a number has not changed for a while. */
async function settledAt(read: () => number): Promise<void> {
  let last = -1;
  while (last !== read() || last === 0) {
    last = read();
    await turns(200);
  }
}

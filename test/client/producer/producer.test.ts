import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Producer } from '../../../src/client/producer/producer.ts';
import type { ProducerOptions } from '../../../src/client/producer/producer-options.ts';
import type { SendResult } from '../../../src/client/producer/outgoing-batch.ts';
import { BATCH_MAX_RECORDS } from '../../../src/wire/record-batch.ts';
import { turns } from '../../support/turns.ts';
import { FakeBroker } from '../fake-broker.ts';
import { numbersOf, sendApart, valuesOf } from './sending.ts';

let broker: FakeBroker;
beforeEach(async () => {
  broker = await FakeBroker.open();
});
afterEach(() => broker[Symbol.asyncDispose]());

/** A producer whose topic `t` and identity are known. */
async function warm(options: ProducerOptions = {}): Promise<Producer> {
  const client = await broker.client();
  const producer = client.producer(options);
  broker.onProduce = (arrived) => arrived.answer({ baseOffset: 0 });
  await producer.send({ topic: 't', value: 'warm' });
  broker.produced.length = 0;
  broker.onProduce = () => undefined;
  return producer;
}

/** The same, where nobody cares what becomes of them. */
async function occupy(producer: Producer, values: readonly string[]): Promise<void> {
  const sends = await sendApart(broker, producer, values);
  expect(sends).toHaveLength(values.length);
}

describe('gathering', () => {
  it('puts no more records into a batch than a broker takes', async () => {
    const producer = await warm({ batchBytes: 4 * 2 ** 20, bufferBytes: 32 * 2 ** 20, lingerMs: 1000 });
    await occupy(producer, ['in flight']);
    for (let record = 0; record <= BATCH_MAX_RECORDS; record += 1) producer.offer({ topic: 't', value: '' });
    await turns(3);
    expect(broker.produced.at(-1)!.header.recordCount).toBe(BATCH_MAX_RECORDS);
  });

  it('sends a record at once when nothing is in flight', async () => {
    const producer = await warm();
    void producer.send({ topic: 't', value: 'a' }).catch(() => undefined);
    await turns(3);
    expect(valuesOf(broker.produced)).toEqual(['a']);
  });

  it('gathers records while an answer is awaited and sends them when it comes', async () => {
    const producer = await warm();
    const sends = [producer.send({ topic: 't', value: 'a' })];
    await turns(3);
    sends.push(producer.send({ topic: 't', value: 'b' }), producer.send({ topic: 't', value: 'c' }));
    await turns(3);
    expect(valuesOf(broker.produced)).toEqual(['a']);
    broker.onProduce = (arrived) => arrived.answer({ baseOffset: 2 });
    broker.produced[0]!.answer({ baseOffset: 1 });
    expect((await Promise.all(sends)).map(({ offset }) => offset)).toEqual([1, 2, 3]);
    expect(valuesOf(broker.produced)).toEqual(['a', 'b,c']);
  });

  it('sends after the linger time though an answer is awaited', async () => {
    const producer = await warm({ lingerMs: 7 });
    await occupy(producer, ['a']);
    void producer.send({ topic: 't', value: 'b' }).catch(() => undefined);
    broker.clock.advance(6.9);
    await turns(3);
    expect(valuesOf(broker.produced)).toEqual(['a']);
    broker.clock.advance(0.2);
    await turns(3);
    expect(valuesOf(broker.produced)).toEqual(['a', 'b']);
  });

  it('has no more than five batches of a partition in flight', async () => {
    const producer = await warm();
    await occupy(producer, ['a', 'b', 'c', 'd', 'e', 'f', 'g']);
    expect(valuesOf(broker.produced)).toEqual(['a', 'b', 'c', 'd', 'e']);
    broker.produced[0]!.answer({ baseOffset: 1 });
    await turns(3);
    expect(valuesOf(broker.produced)).toEqual(['a', 'b', 'c', 'd', 'e', 'f,g']);
  });

  it('completes a batch at its size', async () => {
    const producer = await warm({ batchBytes: 350 });
    for (let i = 0; i < 7; i++) producer.offer({ topic: 't', value: 'x'.repeat(100) });
    expect(broker.produced).toHaveLength(0);
    await turns(3);
    expect(broker.produced.slice(0, 3).map(({ header }) => header.recordCount)).toEqual([2, 2, 2]);
  });

  it('spreads batches of records without key over the partitions', async () => {
    broker.partitions = 3;
    const producer = await warm({ batchBytes: 350 });
    broker.onProduce = (arrived) => arrived.answer({ baseOffset: 0 });
    for (let i = 0; i < 18; i++) producer.offer({ topic: 't', value: 'x'.repeat(100) });
    await producer.flush();
    const counts = Map.groupBy(broker.produced, ({ partition }) => partition);
    expect([...counts.values()].map((batches) => batches.length).sort()).toEqual([3, 3, 3]);
  });

  it('keeps the records of a key on the partition that Kafka would choose', async () => {
    broker.partitions = 10;
    const producer = await warm();
    broker.onProduce = (arrived) => arrived.answer({ baseOffset: 0 });
    // murmur2('foobar') is -790332482; without its sign bit 1357151166.
    expect((await producer.send({ topic: 't', key: 'foobar', value: '' })).partition).toBe(
      1_357_151_166 % 10,
    );
  });
});

describe('retrying', () => {
  it('sends what was not answered again after a lost connection, in order and with the same numbers', async () => {
    const producer = await warm();
    const sends = await sendApart(broker, producer, ['a', 'b', 'c']);
    const before = numbersOf(broker.produced.splice(0));
    broker.onProduce = (arrived) => arrived.answer({ baseOffset: 10 });
    broker.last.cut();
    await broker.pass(1000);
    await Promise.all(sends);
    expect(valuesOf(broker.produced)).toEqual(['a', 'b', 'c']);
    expect(numbersOf(broker.produced)).toEqual(before);
  });

  it('runs no further ahead of a batch of which nothing is known than the broker remembers', async () => {
    const producer = await warm();
    const sends = await sendApart(broker, producer, ['a', 'b', 'c', 'd', 'e', 'f', 'g']);
    const [first, ...behind] = broker.produced.splice(0);
    first!.answer({ error: 'TIMEOUT' });
    for (const [index, arrived] of behind.entries()) arrived.answer({ baseOffset: index + 2 });
    await broker.pass(1000);
    expect(valuesOf(broker.produced)).toEqual(['a']);
    broker.onProduce = (arrived) => arrived.answer({ baseOffset: 6 });
    broker.produced[0]!.answer({ duplicate: true, baseOffset: 1 });
    await broker.pass(1000);
    expect((await Promise.all(sends)).slice(0, 5).map(({ offset }) => offset)).toEqual([1, 2, 3, 4, 5]);
  });

  it('takes answers of one partition whatever those of another wait for', async () => {
    broker.partitions = 2;
    const producer = await warm();
    const slow = producer.send({ topic: 't', partition: 0, value: 'slow' });
    const fast = producer.send({ topic: 't', partition: 1, value: 'fast' });
    await broker.pass(50);
    const [first, second] = broker.produced.splice(0);
    expect([first!.values, second!.values]).toEqual([['slow'], ['fast']]);
    second!.answer({ baseOffset: 3 });
    expect((await fast).offset).toBe(3);
    first!.answer({ baseOffset: 4 });
    expect((await slow).offset).toBe(4);
  });

  it('takes a duplicate for success', async () => {
    const producer = await warm();
    const [send] = await sendApart(broker, producer, ['a']);
    broker.produced[0]!.answer({ duplicate: true, baseOffset: 7 });
    expect(await send).toMatchObject({ offset: 7 });
  });

  it('sends nothing past a batch that was refused for the moment', async () => {
    const producer = await warm();
    const sends = await sendApart(broker, producer, ['a', 'b', 'c']);
    const [a, b, c] = broker.produced.splice(0);
    a!.answer({ error: 'OVERLOADED' });
    b!.answer({ error: 'OUT_OF_ORDER_SEQUENCE' });
    await turns(3);
    void producer.send({ topic: 't', value: 'd' }).catch(() => undefined);
    await broker.pass(50);
    expect(broker.produced).toEqual([]);
    c!.answer({ error: 'OUT_OF_ORDER_SEQUENCE' });
    broker.onProduce = (arrived) => arrived.answer({ baseOffset: 1 });
    await broker.pass(300);
    await Promise.all(sends);
    expect(valuesOf(broker.produced)).toEqual(['a', 'b', 'c', 'd']);
    expect(numbersOf(broker.produced).slice(0, 3)).toEqual(numbersOf([a!, b!, c!]));
  });

  it('numbers anew what comes after a batch that was refused for good', async () => {
    const producer = await warm();
    const sends = await sendApart(broker, producer, ['a', 'b', 'c']);
    const [a, b, c] = broker.produced.splice(0);
    a!.answer({ error: 'FORBIDDEN' });
    broker.onProduce = (arrived) => arrived.answer({ baseOffset: 1 });
    b!.answer({ error: 'OUT_OF_ORDER_SEQUENCE' });
    c!.answer({ error: 'OUT_OF_ORDER_SEQUENCE' });
    const results = await Promise.allSettled(sends);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
    expect(results[0]).toMatchObject({ reason: { code: 'FORBIDDEN' } });
    expect(valuesOf(broker.produced)).toEqual(['b', 'c']);
    const first = a!.header.baseSequence;
    expect(numbersOf(broker.produced).map(([, sequence]) => sequence)).toEqual([first, first + 1]);
  });

  it('takes a new identity when the broker does not know the producer, and loses nothing', async () => {
    const producer = await warm();
    const sends = await sendApart(broker, producer, ['a', 'b']);
    const [a, b] = broker.produced.splice(0);
    a!.answer({ error: 'UNKNOWN_PRODUCER' });
    broker.onProduce = (arrived) => arrived.answer({ baseOffset: 1 });
    b!.answer({ error: 'UNKNOWN_PRODUCER' });
    await Promise.all(sends);
    const renewed = a!.header.producerId + 1;
    expect(numbersOf(broker.produced)).toEqual([
      [renewed, 0],
      [renewed, 1],
    ]);
    expect(valuesOf(broker.produced)).toEqual(['a', 'b']);
  });

  /** A batch was sent and its answer lost with the connection; the next broker does not know the producer. */
  async function forgotten(meanwhile: () => void): Promise<SendResult> {
    const producer = await warm();
    const [lost] = await sendApart(broker, producer, ['a']);
    broker.last.cut();
    meanwhile();
    broker.produced.length = 0;
    broker.onProduce = (arrived) =>
      arrived.answer(arrived.header.baseSequence === 0 ? { baseOffset: 1 } : { error: 'UNKNOWN_PRODUCER' });
    await broker.pass(1000);
    return lost!;
  }

  it('sends again what may have been stored when the broker has begun anew since: its log has nothing of it', async () => {
    const lost = forgotten(() => {
      broker.leaderEpoch += 1;
    });
    expect(await lost).toMatchObject({ offset: 1 });
    const [first] = broker.produced;
    expect(broker.produced.at(-1)!.header.producerId).toBe(first!.header.producerId + 1);
  });

  it('gives up what may have been stored when the broker was there all the time and forgot the producer', async () => {
    const lost = forgotten(() => undefined);
    await expect(lost).rejects.toMatchObject({ code: 'UNKNOWN_PRODUCER' });
    expect(new Set(broker.produced.map(({ header }) => header.producerId)).size).toBe(1);
  });

  it('sends again what may have been stored elsewhere when it is connected to another cluster', async () => {
    const lost = forgotten(() => {
      broker.clusterId = 'another';
    });
    expect(await lost).toMatchObject({ offset: 1 });
  });

  it('waits until it knows whether the broker has begun anew before it sends again what may have been stored', async () => {
    let refuse = true;
    const lost = forgotten(() => {
      broker.leaderEpoch += 1;
      broker.onRequest = (request) =>
        request.case === 'metadata' && refuse ? { error: 'UNAVAILABLE' } : broker.defaultAnswer(request);
    });
    const state = { done: false };
    void lost.then(() => {
      state.done = true;
    });
    await broker.pass(1000);
    expect(state.done).toBe(false);
    expect(new Set(broker.produced.map(({ header }) => header.producerId)).size).toBe(1);
    refuse = false;
    await broker.pass(5000);
    expect(state.done).toBe(true);
  });

  it('takes a new identity when numbers do not fit though the batch was certainly not stored', async () => {
    const producer = await warm();
    const [send] = await sendApart(broker, producer, ['a']);
    broker.onProduce = (arrived) => arrived.answer({ baseOffset: 3 });
    broker.produced[0]!.answer({ error: 'OUT_OF_ORDER_SEQUENCE' });
    expect(await send).toMatchObject({ offset: 3 });
    expect(numbersOf(broker.produced)[1]).toEqual([broker.produced[0]!.header.producerId + 1, 0]);
  });

  it('gives up a batch that may have been stored when its number does not fit any more, and goes on with the next', async () => {
    const producer = await warm();
    const [lost] = await sendApart(broker, producer, ['a']);
    broker.last.cut();
    broker.produced.length = 0;
    await broker.pass(1000);
    expect(valuesOf(broker.produced)).toEqual(['a']);
    broker.produced[0]!.answer({ error: 'OUT_OF_ORDER_SEQUENCE' });
    await expect(lost).rejects.toMatchObject({ code: 'OUT_OF_ORDER_SEQUENCE' });
    const [next] = await sendApart(broker, producer, ['b']);
    broker.produced.at(-1)!.answer({ baseOffset: 5 });
    expect(await next).toMatchObject({ offset: 5 });
    expect(broker.produced.at(-1)!.header.baseSequence).toBe(0);
  });

  it.each(['STORAGE_FULL', 'STORAGE_FAILED'] as const)(
    'gives no other batch the number of one given up with %s, which may come back when the broker starts anew',
    async (code) => {
      const producer = await warm({ retries: 0 });
      const [lost] = await sendApart(broker, producer, ['a']);
      broker.produced[0]!.answer({ error: code });
      await expect(lost).rejects.toMatchObject({ code });
      const [next] = await sendApart(broker, producer, ['b']);
      broker.produced.at(-1)!.answer({ baseOffset: 5 });
      expect(await next).toMatchObject({ offset: 5 });
      const [first, last] = [numbersOf(broker.produced)[0], numbersOf(broker.produced).at(-1)];
      expect(last).not.toEqual(first);
    },
  );

  it('gives up what retention took before it was confirmed, and goes on with a new identity', async () => {
    const producer = await warm();
    const sends = await sendApart(broker, producer, ['a', 'b', 'c']);
    const [a, b, c] = broker.produced.splice(0);
    a!.answer({ error: 'GAP' });
    b!.answer({ baseOffset: 4 });
    broker.onProduce = (arrived) => arrived.answer({ baseOffset: 6 });
    c!.answer({ error: 'OVERLOADED' });
    await expect(sends[0]).rejects.toMatchObject({ code: 'GAP' });
    await broker.pass(1000);
    expect(await Promise.all(sends.slice(1))).toMatchObject([{ offset: 4 }, { offset: 6 }]);
    expect([valuesOf(broker.produced), numbersOf(broker.produced)]).toEqual([
      ['c'],
      [[a!.header.producerId + 1, 0]],
    ]);
  });

  it('keeps the numbers of what may be stored after one before it was given up, and lets nothing overtake it', async () => {
    const client = await broker.client('memory://fake:1', { reconnect: { maxDelayMs: 200 } });
    const producer = client.producer({ deliveryTimeoutMs: 10_000 });
    const [a] = await sendApart(broker, producer, ['a']);
    await broker.pass(5000);
    const [b] = await sendApart(broker, producer, ['b']);
    const before = numbersOf(broker.produced.splice(0));
    broker.refuseHello = 'OVERLOADED';
    broker.last.cut();
    await turns(3);
    const [c] = await sendApart(broker, producer, ['c']);
    await broker.pass(6000);
    await expect(a).rejects.toMatchObject({ code: 'TIMEOUT' });
    broker.refuseHello = undefined;
    await broker.pass(500);
    expect(valuesOf(broker.produced)).toEqual(['b']);
    expect(numbersOf(broker.produced)).toEqual(before.slice(1));
    broker.produced[0]!.answer({ baseOffset: 1 });
    await turns(3);
    expect(valuesOf(broker.produced)).toEqual(['b', 'c']);
    expect(numbersOf(broker.produced)[1]).toEqual([before[0]![0] + 1, 0]);
    broker.produced[1]!.answer({ baseOffset: 2 });
    expect([await b, await c]).toMatchObject([{ offset: 1 }, { offset: 2 }]);
  });

  it('gives up after the retries that are allowed', async () => {
    const producer = await warm({ retries: 1 });
    broker.onProduce = (arrived) => arrived.answer({ error: 'OVERLOADED' });
    const [send] = await sendApart(broker, producer, ['a']);
    await broker.pass(1000);
    await expect(send).rejects.toMatchObject({ code: 'OVERLOADED' });
    expect(broker.produced).toHaveLength(2);
  });

  it('gives up what has no answer within the delivery timeout', async () => {
    const producer = await warm({ deliveryTimeoutMs: 2000 });
    const [send] = await sendApart(broker, producer, ['a']);
    await broker.pass(3000);
    await expect(send).rejects.toMatchObject({ code: 'TIMEOUT' });
  });

  it('says, when it gives up, why the broker refused all the time', async () => {
    const producer = await warm({ deliveryTimeoutMs: 2000 });
    broker.onProduce = (arrived) => arrived.answer({ error: 'STORAGE_FULL' });
    const [send] = await sendApart(broker, producer, ['a']);
    await broker.pass(3000);
    await expect(send).rejects.toMatchObject({ code: 'TIMEOUT', cause: { code: 'STORAGE_FULL' } });
  });

  it('says, when it gives up on a topic that it could not ask about, why the broker refused', async () => {
    const client = await broker.client();
    broker.onRequest = (request) => (request.case === 'metadata' ? { error: 'STORAGE_FAILED' } : undefined);
    const send = client.producer({ deliveryTimeoutMs: 2000 }).send({ topic: 't', value: 'a' });
    send.catch(() => undefined);
    await broker.pass(3000);
    await expect(send).rejects.toMatchObject({ code: 'TIMEOUT', cause: { code: 'STORAGE_FAILED' } });
  });

  it('gives up what waits for a connection within the delivery timeout', async () => {
    const client = await broker.client();
    const producer = client.producer({ deliveryTimeoutMs: 2000 });
    broker.refuseHello = 'silent';
    broker.last.cut();
    const send = producer.send({ topic: 't', value: 'a' });
    send.catch(() => undefined);
    await broker.pass(3000);
    await expect(send).rejects.toMatchObject({ code: 'TIMEOUT' });
  });

  it('moves to the next broker only after the draining one has answered', async () => {
    const producer = await warm();
    const [a] = await sendApart(broker, producer, ['a']);
    const old = broker.last;
    old.goAway();
    await turns(5);
    const b = producer.send({ topic: 't', value: 'b' });
    await broker.pass(1000);
    expect(broker.connections).toHaveLength(2);
    expect(valuesOf(broker.produced)).toEqual(['a']);
    broker.onProduce = (arrived) => arrived.answer({ baseOffset: 2 });
    broker.produced[0]!.answer({ baseOffset: 1 });
    expect([await a, await b]).toMatchObject([{ offset: 1 }, { offset: 2 }]);
    expect(broker.produced[1]!.connection).toBe(broker.last);
    await turns(5);
    expect(old.closeCode).toBe(0);
  });
});

describe('room', () => {
  it('refuses an offer when the buffer is full and takes it when there is room', async () => {
    const producer = await warm({ bufferBytes: 1000 });
    const value = 'x'.repeat(600);
    expect([1, 2, 3].map(() => producer.offer({ topic: 't', value }))).toEqual([true, true, false]);
    let ready = false;
    const waiting = producer.ready().then(() => (ready = true));
    await turns(3);
    expect(ready).toBe(false);
    broker.produced[0]!.answer({ baseOffset: 0 });
    await waiting;
    expect(producer.offer({ topic: 't', value })).toBe(true);
  });

  it('lets sends wait for room in their order', async () => {
    const producer = await warm({ bufferBytes: 100 });
    broker.onProduce = (arrived) => arrived.answer({ baseOffset: 0 });
    const values = Array.from({ length: 20 }, (_, i) => `${i}`.padEnd(60, '.'));
    const sends = values.map((value) => producer.send({ topic: 't', value }));
    await Promise.all(sends);
    expect(broker.produced.flatMap(({ values: sent }) => sent)).toEqual(values);
  });

  it('lets nothing overtake a send that waits for room', async () => {
    const producer = await warm({ bufferBytes: 1000 });
    const send = (name: string, length: number): void =>
      void producer.send({ topic: 't', value: name.padEnd(length, '.') }).catch(() => undefined);
    send('a', 100);
    await turns(3);
    send('b', 900); // full now
    send('c', 10);
    broker.produced[0]!.answer({ baseOffset: 0 }); // some room, but not enough for those who wait to go on
    await turns(3);
    send('d', 10);
    expect(producer.offer({ topic: 't', value: 'e' })).toBe(false);
    broker.onProduce = (arrived) => arrived.answer({ baseOffset: 0 });
    broker.produced[1]!.answer({ baseOffset: 0 });
    await turns(5);
    const names = broker.produced.flatMap(({ values }) => values.map((value) => value[0]));
    expect(names).toEqual(['a', 'b', 'c', 'd']);
  });

  it('gives the room of a rejected batch back', async () => {
    const producer = await warm();
    const [send] = await sendApart(broker, producer, ['a']);
    broker.produced[0]!.answer({ error: 'FORBIDDEN' });
    await expect(send).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(producer.bufferedBytes).toBe(0);
  });

  it.each([
    ['KEY_TOO_LARGE', { key: Buffer.alloc(65 * 1024), value: '' }],
    ['RECORD_TOO_LARGE', { value: Buffer.alloc(18 * 1024 * 1024) }],
    ['PARTITION_NOT_FOUND', { value: '', partition: 9 }],
  ] as const)('refuses a record with %s at once', async (code, record) => {
    const producer = await warm();
    await expect(producer.send({ topic: 't', ...record })).rejects.toMatchObject({ code });
  });
});

describe('offer', () => {
  it('tells what could not be stored by event and by flush', async () => {
    const producer = await warm();
    const rejected: unknown[] = [];
    producer.on('rejected', (event) => rejected.push(event));
    broker.onProduce = (arrived) => arrived.answer({ error: 'FORBIDDEN' });
    producer.offer({ topic: 't', value: 'a' });
    producer.offer({ topic: 't', value: 'b' });
    await expect(producer.flush()).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(rejected).toMatchObject([{ topic: 't', partition: 0, records: 2, error: { code: 'FORBIDDEN' } }]);
    await producer.flush();
  });

  it('keeps the order of records taken before the topic was known', async () => {
    const client = await broker.client();
    const producer = client.producer();
    broker.onProduce = (arrived) => arrived.answer({ baseOffset: 0 });
    const bytes = Buffer.from('0');
    for (let i = 0; i < 5; i++) {
      bytes.write(`${i}`);
      producer.offer({ topic: 't', value: bytes });
    }
    await producer.flush();
    expect(valuesOf(broker.produced)).toEqual(['0,1,2,3,4']);
  });

  it('rejects the records of a topic that is refused', async () => {
    const client = await broker.client();
    broker.onRequest = (request) =>
      request.case === 'metadata' ? { error: 'FORBIDDEN' } : broker.defaultAnswer(request);
    await expect(client.producer().send({ topic: 't', value: '' })).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
  });
});

describe('other ways', () => {
  it('with acks none is done when written, without numbers', async () => {
    const producer = await warm().then(() => broker.client());
    const quick = producer.producer({ acks: 'none' });
    expect(await quick.send({ topic: 't', value: 'a' })).toMatchObject({ offset: undefined });
    await turns(3);
    expect(broker.produced.at(-1)).toMatchObject({ acks: 0, header: { producerId: -1, baseSequence: -1 } });
  });

  it('without idempotence has one batch in flight and no numbers', async () => {
    const client = await broker.client();
    const producer = client.producer({ idempotent: false });
    broker.onProduce = (arrived) => arrived.answer({ baseOffset: 0 });
    await producer.send({ topic: 't', value: 'warm' });
    broker.onProduce = () => undefined;
    await occupy(producer, ['a', 'b']);
    expect(broker.produced.at(-1)).toMatchObject({ values: ['a'], header: { producerId: -1 } });
  });

  it('refuses options that contradict each other', async () => {
    const client = await broker.client();
    expect(() => client.producer({ acks: 'none', idempotent: true })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as Error,
    );
  });

  it('close flushes and refuses what comes later', async () => {
    const producer = await warm();
    broker.onProduce = (arrived) => arrived.answer({ baseOffset: 0 });
    const send = producer.send({ topic: 't', value: 'a' });
    await producer.close();
    expect(await send).toMatchObject({ offset: 0 });
    await expect(producer.send({ topic: 't', value: 'b' })).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('closing the client rejects what is not answered in time', async () => {
    const producer = await warm();
    const [send] = await sendApart(broker, producer, ['a']);
    const client = broker;
    await client[Symbol.asyncDispose]();
    await expect(send).rejects.toMatchObject({ code: 'CLOSED' });
    broker = await FakeBroker.open();
  });
});

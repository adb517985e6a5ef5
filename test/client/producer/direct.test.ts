/** Producers that send to the leaders of partitions directly, over connections besides the one that their client lives on. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Client } from '../../../src/client/client.ts';
import type { ConnectOptions } from '../../../src/client/connection/connect-options.ts';
import type { SendResult } from '../../../src/client/producer/outgoing-batch.ts';
import type { Producer } from '../../../src/client/producer/producer.ts';
import type { ProducerOptions } from '../../../src/client/producer/producer-options.ts';
import type { Listener } from '../../../src/transport/transport.ts';
import { turns } from '../../support/turns.ts';
import type { Arrived, FakeConnection } from '../fake-broker.ts';
import { FakeBroker } from '../fake-broker.ts';
import { numbersOf, sendApart, valuesOf } from './sending.ts';

const MINUTE_MS = 60_000;
const PORTS = { n1: 1, n2: 2, n3: 3 } as const;
type NodeId = keyof typeof PORTS;
const ALL = Object.keys(PORTS) as NodeId[];

let broker: FakeBroker;
let listeners: Record<NodeId, Listener>;

beforeEach(async () => {
  broker = await FakeBroker.open([]);
  const [n1, n2, n3] = await Promise.all(ALL.map((nodeId) => broker.listen(PORTS[nodeId], nodeId)));
  listeners = { n1: n1!, n2: n2!, n3: n3! };
  broker.nodes = ALL.map((nodeId) => ({ nodeId, urls: [`memory://fake:${PORTS[nodeId]}`] }));
  broker.leaderOf = () => 'n2';
  broker.onProduce = (arrived) => arrived.answer({ baseOffset: 0 });
});
afterEach(() => broker[Symbol.asyncDispose]());

const nodesOf = (arrived: readonly Arrived[]): string[] => arrived.map(({ connection }) => connection.nodeId);
const metadataCount = (): number =>
  broker.connections.flatMap(({ requests }) => requests).filter((request) => request.case === 'metadata')
    .length;
/** Connections to a node, those that are closed included. */
const connectionsTo = (nodeId: NodeId): FakeConnection[] =>
  broker.connections.filter((connection) => connection.nodeId === nodeId);

const connect = (options: ConnectOptions = {}, home: NodeId = 'n1'): Promise<Client> =>
  broker.client(`memory://fake:${PORTS[home]}`, options);

/** A producer of a client at n1 that knows topic `t`, and reaches the leader directly where it may. */
async function warm(options: ProducerOptions = {}, connectOptions: ConnectOptions = {}): Promise<Producer> {
  const producer = (await connect(connectOptions)).producer(options);
  await producer.send({ topic: 't', value: 'warm' });
  await turns(5);
  broker.produced.length = 0;
  return producer;
}

/** How many had their answer when answers began to be held. */
let answered = 0;

/** What arrives from now on waits for its answer. */
function holdAnswers(): void {
  answered = broker.produced.length;
  broker.onProduce = () => undefined;
}

/** What arrived is answered in order, and what arrives from now on as well. */
function answerAll(): void {
  broker.onProduce = (arrived) => arrived.answer({ baseOffset: 0 });
  for (const arrived of broker.produced.slice(answered)) arrived.answer({ baseOffset: 0 });
}

/** Nobody can connect to a node any more, and those that are connected lose it. */
async function kill(nodeId: NodeId): Promise<void> {
  await listeners[nodeId].close();
  for (const connection of connectionsTo(nodeId)) connection.cut();
}

/** Elections are awaited. */
function nobodyLeads(): void {
  broker.leaderOf = () => '';
}

describe('a partition that another node leads', () => {
  it('gets its batches there directly, over one connection that all producers of the client share', async () => {
    const client = await connect();
    const producers = [client.producer(), client.producer()];
    for (const value of ['a', 'b', 'c']) {
      for (const producer of producers) await producer.send({ topic: 't', value });
      await turns(5);
    }
    expect(nodesOf(broker.produced).slice(2)).toEqual(['n2', 'n2', 'n2', 'n2']);
    expect(broker.connections.map(({ nodeId }) => nodeId)).toEqual(['n1', 'n2']);
  });

  it('gets its batches through the home connection until the leader is connected, and waits for nobody', async () => {
    const producer = (await connect()).producer();
    broker.refuseHello = 'silent';
    await producer.send({ topic: 't', value: 'a' });
    expect(nodesOf(broker.produced)).toEqual(['n1']);
  });

  it('is reached with the same credentials', async () => {
    await warm();
    const [home, direct] = broker.connections;
    expect(direct!.hello).toEqual(home!.hello);
  });

  it('is told apart from those that other nodes lead', async () => {
    broker.partitions = 3;
    broker.leaderOf = (partition) => ALL[partition]!;
    const producer = (await connect()).producer();
    const sendAll = (): Promise<SendResult[]> =>
      Promise.all([0, 1, 2].map((partition) => producer.send({ topic: 't', value: '', partition })));
    await sendAll();
    await turns(5);
    broker.produced.length = 0;
    await sendAll();
    const ways = broker.produced.map(({ partition, connection }) => `${partition} ${connection.nodeId}`);
    expect(ways.sort()).toEqual(['0 n1', '1 n2', '2 n3']);
    expect(broker.connections).toHaveLength(3);
  });

  it('is found though its node has come after the client', async () => {
    const [n1, n2] = broker.nodes;
    broker.nodes = [n1!];
    const client = await connect();
    broker.nodes = [n1!, n2!];
    const producer = client.producer();
    await producer.send({ topic: 't', value: 'a' });
    await turns(5);
    await producer.send({ topic: 't', value: 'b' });
    expect(nodesOf(broker.produced)).toEqual(['n1', 'n2']);
  });

  const asIs = (): void => undefined;
  it.each<[string, ProducerOptions, ConnectOptions, () => void]>([
    ['direct is false', {}, { direct: false }, asIs],
    ['nothing is answered', { acks: 'none' }, {}, holdAnswers],
    ['its node is not known', {}, {}, () => void broker.nodes.splice(1)],
    ['its node has no URL', {}, {}, () => void broker.nodes[1]!.urls.splice(0)],
    [
      'its node has only URLs of another transport',
      {},
      {},
      () => void broker.nodes[1]!.urls.splice(0, 1, 'quic://fake:2'),
    ],
    ['nobody leads it', {}, {}, nobodyLeads],
  ])('is reached through the home connection when %s', async (_, options, connectOptions, prepare) => {
    prepare();
    const producer = await warm(options, connectOptions);
    await producer.send({ topic: 't', value: 'a' });
    await turns(5);
    expect(nodesOf(broker.produced)).toEqual(['n1']);
    expect(broker.connections).toHaveLength(1);
  });
});

describe('a node on its own', () => {
  it('gets one connection, and no question but the first', async () => {
    broker.leaderOf = () => 'n1';
    const producer = await warm();
    const asked = broker.last.requests.length;
    for (let count = 0; count < 50; count++) await producer.send({ topic: 't', value: 'a' });
    expect([broker.connections.length, broker.last.requests.length]).toEqual([1, asked]);
  });

  it('gets no other connection beside the one that replaces a lost one', async () => {
    broker.leaderOf = () => 'n1';
    const producer = await warm();
    holdAnswers();
    const sends = await sendApart(broker, producer, ['a', 'b']);
    broker.last.cut();
    await turns(3);
    sends.push(...(await sendApart(broker, producer, ['c'])));
    await broker.pass(1000);
    answerAll();
    await Promise.all(sends);
    expect(broker.connections).toHaveLength(2);
  });
});

describe('a leader that moves', () => {
  it('gets nothing before what is in flight at the one before is answered', async () => {
    const producer = await warm();
    holdAnswers();
    const sends = await sendApart(broker, producer, ['a', 'b']);
    broker.leaderOf = () => 'n3';
    await broker.pass(MINUTE_MS);
    sends.push(...(await sendApart(broker, producer, ['c', 'd'])));
    expect(nodesOf(broker.produced)).toEqual(['n2', 'n2']);
    broker.produced[0]!.answer({ baseOffset: 1 });
    await turns(5);
    expect(broker.produced).toHaveLength(2);
    broker.produced[1]!.answer({ baseOffset: 2 });
    await broker.pass(50);
    const after = broker.produced.slice(2);
    expect(valuesOf(after).join()).toBe('c,d');
    broker.onProduce = (arrived) => arrived.answer({ baseOffset: 3 });
    after[0]!.answer({ baseOffset: 3 });
    await broker.pass(50);
    await Promise.all(sends);
    const [last] = await sendApart(broker, producer, ['e']);
    await last;
    expect(nodesOf(broker.produced).at(-1)).toBe('n3');
  });

  it('gets again what the one before says it does not lead, in order and with the same numbers', async () => {
    const producer = await warm();
    holdAnswers();
    const sends = await sendApart(broker, producer, ['a', 'b', 'c']);
    const before = broker.produced.splice(0);
    broker.leaderOf = () => 'n3';
    broker.onProduce = (arrived) => arrived.answer({ baseOffset: 0 });
    for (const arrived of before) arrived.answer({ error: 'NOT_LEADER' });
    await broker.pass(500);
    await Promise.all(sends);
    expect(valuesOf(broker.produced)).toEqual(['a', 'b', 'c']);
    expect(numbersOf(broker.produced)).toEqual(numbersOf(before));
    const [last] = await sendApart(broker, producer, ['d']);
    await last;
    expect(nodesOf(broker.produced).at(-1)).toBe('n3');
  });

  it('is asked for once more when somebody takes what nobody led', async () => {
    broker.leaderOf = () => '';
    let refuse = true;
    broker.onProduce = (arrived) => arrived.answer(refuse ? { error: 'NOT_LEADER' } : { baseOffset: 0 });
    const producer = (await connect()).producer();
    const [send] = await sendApart(broker, producer, ['a']);
    await turns(5);
    // Elected after the answer to the question that the refusal made.
    refuse = false;
    broker.leaderOf = () => 'n3';
    await broker.pass(100);
    await send;
    await broker.pass(500);
    const [last] = await sendApart(broker, producer, ['b']);
    await last;
    await turns(5);
    await (
      await sendApart(broker, producer, ['c'])
    )[0];
    expect(nodesOf(broker.produced).at(-1)).toBe('n3');
  });

  it('is asked for seldom, however many partitions and batches it is wrong for', async () => {
    broker.partitions = 40;
    const producer = (await connect()).producer();
    const send = (partition: number): Promise<SendResult> =>
      producer.send({ topic: 't', value: 'a', partition });
    const all = Array.from({ length: broker.partitions }, (_, partition) => partition);
    await Promise.all(all.map(send));
    await turns(5);
    broker.produced.length = 0;
    const before = metadataCount();
    broker.onProduce = (arrived) => arrived.answer({ error: 'NOT_LEADER' });
    const sends: Promise<SendResult>[] = [];
    for (const partition of all) {
      sends.push(send(partition));
      await broker.pass(37); // so that they do not all ask in the same moment
    }
    await broker.pass(30_000);
    expect(broker.produced.length).toBeGreaterThan(500);
    const count = metadataCount() - before;
    expect(count).toBeGreaterThan(10);
    expect(count).toBeLessThan(40);
    broker.onProduce = (arrived) => arrived.answer({ baseOffset: 0 });
    await broker.pass(5000);
    await Promise.all(sends);
  });

  it('is found when the node before drains, which gets nothing new and answers what it has', async () => {
    const producer = await warm();
    holdAnswers();
    const sends = await sendApart(broker, producer, ['a']);
    broker.leaderOf = () => 'n3';
    broker.last.goAway();
    await turns(10);
    sends.push(...(await sendApart(broker, producer, ['b'])));
    expect(nodesOf(broker.produced)).toEqual(['n2']);
    answerAll();
    await broker.pass(50);
    await Promise.all(sends);
    const [last] = await sendApart(broker, producer, ['c']);
    await last;
    expect(valuesOf(broker.produced)).toEqual(['a', 'b', 'c']);
    expect(nodesOf(broker.produced).at(-1)).toBe('n3');
  });
});

describe('a leader that is not to be reached', () => {
  it('has its batches forwarded, and is tried less and less', async () => {
    await listeners.n2.close();
    const producer = await warm();
    await producer.send({ topic: 't', value: 'a' });
    expect(nodesOf(broker.produced)).toEqual(['n1']);
    const before = metadataCount();
    for (let second = 0; second < 120; second++) {
      await producer.send({ topic: 't', value: 'b' });
      await broker.pass(1000);
    }
    expect(new Set(nodesOf(broker.produced))).toEqual(new Set(['n1']));
    expect(metadataCount() - before).toBeLessThan(20);
    await broker.listen(PORTS.n2, 'n2');
    for (let second = 0; second < 40; second++) {
      await producer.send({ topic: 't', value: 'c' });
      await broker.pass(1000);
    }
    expect(nodesOf(broker.produced).at(-1)).toBe('n2');
  });

  it('is asked for a sign of life while something is in flight there', async () => {
    const producer = await warm();
    const isAwaited = (): boolean[] => broker.clientEnds.map((connection) => connection.isAwaited!());
    expect(isAwaited()).toEqual([false, false]);
    holdAnswers();
    const sends = await sendApart(broker, producer, ['a']);
    expect(isAwaited()).toEqual([false, true]);
    answerAll();
    await Promise.all(sends);
    expect(isAwaited()).toEqual([false, false]);
  });

  it.each([
    ['went', () => kill('n2')],
    [
      'did not answer any more',
      async () => {
        broker.clientEnds[1]!.onSilent!();
        await turns(1);
      },
    ],
  ])(
    'has what was in flight when it %s sent again through the home connection, in order and with the same numbers',
    async (_, fail) => {
      const producer = await warm();
      holdAnswers();
      const sends = await sendApart(broker, producer, ['a', 'b', 'c']);
      const before = broker.produced.splice(0);
      broker.onProduce = (arrived) => arrived.answer({ baseOffset: 0 });
      await fail();
      await broker.pass(50);
      await Promise.all(sends);
      expect(nodesOf(before)).toEqual(['n2', 'n2', 'n2']);
      expect(nodesOf(broker.produced)).toEqual(['n1', 'n1', 'n1']);
      expect(valuesOf(broker.produced)).toEqual(['a', 'b', 'c']);
      expect(numbersOf(broker.produced)).toEqual(numbersOf(before));
    },
  );

  it('has its successor found', async () => {
    const producer = await warm();
    broker.leaderOf = () => 'n3';
    await kill('n2');
    await turns(10);
    await (
      await sendApart(broker, producer, ['a'])
    )[0];
    await turns(5);
    await (
      await sendApart(broker, producer, ['b'])
    )[0];
    expect(nodesOf(broker.produced)).toEqual(['n1', 'n3']);
  });

  it('has what it may have stored sent again when the log is another one since', async () => {
    const producer = await warm();
    holdAnswers();
    const [lost] = await sendApart(broker, producer, ['a']);
    broker.leaderEpoch += 1;
    broker.produced.length = 0;
    broker.onProduce = (arrived) =>
      arrived.answer(arrived.header.baseSequence === 0 ? { baseOffset: 7 } : { error: 'UNKNOWN_PRODUCER' });
    await kill('n2');
    await broker.pass(500);
    expect(await lost).toMatchObject({ offset: 7 });
  });

  it('is somebody else when another node, or one of another cluster, is found at its URL', async () => {
    broker.nodes[1]!.urls = ['memory://fake:3'];
    const producer = await warm();
    await producer.send({ topic: 't', value: 'a' });
    await turns(5);
    expect(nodesOf(broker.produced)).toEqual(['n1']);
    expect(connectionsTo('n3').map(({ closeCode }) => closeCode)).toEqual([0]);
  });

  it('keeps what goes directly going while the home connection is away', async () => {
    const producer = await warm();
    broker.refuseHello = 'OVERLOADED';
    connectionsTo('n1')[0]!.cut();
    await turns(5);
    await producer.send({ topic: 't', value: 'a' });
    expect(nodesOf(broker.produced)).toEqual(['n2']);
  });

  it('has what it may have stored given up, and not stored twice, when the log is the same and the producer forgotten', async () => {
    const producer = await warm();
    broker.refuseHello = 'OVERLOADED';
    connectionsTo('n1')[0]!.cut();
    await turns(5);
    holdAnswers();
    const [lost] = await sendApart(broker, producer, ['a']);
    const [before] = broker.produced.splice(0);
    await kill('n2');
    broker.refuseHello = undefined;
    // The same log, whose broker has forgotten the producer: the batch may be in it.
    broker.onProduce = (arrived) =>
      arrived.answer(arrived.header.baseSequence === 0 ? { baseOffset: 7 } : { error: 'UNKNOWN_PRODUCER' });
    await broker.pass(2000);
    await expect(lost).rejects.toMatchObject({ code: 'UNKNOWN_PRODUCER' });
    expect(new Set(numbersOf(broker.produced).map(String))).toEqual(
      new Set([String(numbersOf([before!])[0])]),
    );
  });
});

describe('what a node that does not lead has answered', () => {
  it('may be stored: no other batch gets its number', async () => {
    const producer = await warm({ deliveryTimeoutMs: 1000 });
    broker.onProduce = (arrived) => arrived.answer({ error: 'NOT_LEADER' });
    const [lost] = await sendApart(broker, producer, ['a']);
    await broker.pass(2000);
    await expect(lost).rejects.toMatchObject({ code: 'TIMEOUT' });
    const [producerId] = numbersOf(broker.produced)[0]!;
    broker.onProduce = (arrived) => arrived.answer({ baseOffset: 9 });
    const [next] = await sendApart(broker, producer, ['b']);
    await broker.pass(500);
    expect(await next).toMatchObject({ offset: 9 });
    expect(numbersOf(broker.produced).at(-1)).toEqual([producerId + 1, 0]);
  });
});

describe('a connection to a leader', () => {
  it('is closed when nobody has used it for a while, and made again when it is needed', async () => {
    const producer = await warm();
    await producer.send({ topic: 't', value: 'a' });
    await broker.pass(MINUTE_MS);
    const [first] = connectionsTo('n2');
    expect(first!.closeCode).toBe(0);
    expect(connectionsTo('n1').map(({ closeCode }) => closeCode)).toEqual([undefined]);
    await producer.send({ topic: 't', value: 'b' });
    await turns(5);
    await producer.send({ topic: 't', value: 'c' });
    expect(nodesOf(broker.produced)).toEqual(['n2', 'n1', 'n2']);
    expect(connectionsTo('n2')).toHaveLength(2);
  });

  it('stays while it is used, or something is in flight', async () => {
    const producer = await warm();
    for (let second = 0; second < 120; second += 20) {
      await producer.send({ topic: 't', value: 'a' });
      await broker.pass(20_000);
    }
    holdAnswers();
    const sends = await sendApart(broker, producer, ['b']);
    await broker.pass(100_000);
    answerAll();
    await Promise.all(sends);
    expect(connectionsTo('n2').map(({ closeCode }) => closeCode)).toEqual([undefined]);
  });

  it('is closed with the client', async () => {
    const client = await connect();
    await client.producer().send({ topic: 't', value: 'a' });
    await turns(5);
    await client.close();
    await turns(5);
    expect(broker.connections.map(({ closeCode }) => closeCode)).toEqual([0, 0]);
  });

  it('is closed when the client moves to another cluster', async () => {
    await warm();
    broker.clusterId = 'another';
    connectionsTo('n1')[0]!.cut();
    await broker.pass(1000);
    expect(connectionsTo('n2')[0]!.closeCode).toBe(0);
  });
});

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { turns } from '../support/turns.ts';
import { FakeBroker } from './fake-broker.ts';

let broker: FakeBroker;
beforeEach(async () => {
  broker = await FakeBroker.open();
});
afterEach(() => broker[Symbol.asyncDispose]());

describe('connect', () => {
  it('says who it is', async () => {
    const client = await broker.client();
    expect(broker.last.hello).toMatchObject({ version: 1, clientId: 'c', token: 't' });
    expect(client.connection).toMatchObject({ url: 'memory://fake:1', nodeId: 'fake' });
  });

  it('tries several URLs in turn', async () => {
    const client = await broker.client('memory://fake:9,memory://fake:8,memory://fake:1');
    expect(client.connection?.url).toBe('memory://fake:1');
  });

  it('goes on trying until somebody answers', async () => {
    const connecting = broker.connecting('memory://fake:2');
    await broker.pass(1000);
    await broker.listen(2);
    await broker.pass(2000);
    const client = await connecting;
    expect(client.connection?.url).toBe('memory://fake:2');
    await client.close();
  });

  it('gives up after the timeout and says why', async () => {
    const connecting = broker.connecting('memory://fake:2', { timeoutMs: 1000 });
    connecting.catch(() => undefined);
    await broker.pass(1500);
    await expect(connecting).rejects.toMatchObject({ code: 'TIMEOUT', cause: { code: 'CONNECT_FAILED' } });
  });

  it('gives up when it is told to', async () => {
    const abort = new AbortController();
    const connecting = broker.connecting('memory://fake:2', { signal: abort.signal });
    connecting.catch(() => undefined);
    await turns(3);
    abort.abort();
    await expect(connecting).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('gives up at once when it is told before', async () => {
    const connecting = broker.connecting('memory://fake:1', { signal: AbortSignal.abort() });
    await expect(connecting).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(broker.connections).toEqual([]);
  });

  it('does not try again where the broker does not know who it is', async () => {
    broker.refuseHello = 'UNAUTHENTICATED';
    await expect(broker.connecting()).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(broker.connections).toHaveLength(1);
  });

  it.each([
    ['', true],
    ['slt_1', false],
  ])('says how to be known to who has not shown a token: %j', async (token, isAdvised) => {
    broker.refuseHello = 'UNAUTHENTICATED';
    const error = await broker.connecting('memory://fake:1', { token }).catch((one: unknown) => one);
    const { message, cause } = error as Error & { cause: Error };
    expect(message.includes('option `token`')).toBe(isAdvised);
    // What happened and where, without the advice.
    expect(message.startsWith(cause.message)).toBe(true);
    expect(cause.message).toMatch(/^memory:\/\/fake:1: [^`]+$/);
  });

  it('takes a broker that says nothing for one that is not there', async () => {
    broker.refuseHello = 'silent';
    await broker.listen(2);
    const connecting = broker.connecting('memory://fake:1', { timeoutMs: 8000, attemptTimeoutMs: 1000 });
    connecting.catch(() => undefined);
    await broker.pass(3000);
    broker.refuseHello = undefined;
    await broker.pass(3000);
    const client = await connecting;
    expect(broker.connections.length).toBeGreaterThan(1);
    expect(broker.connections[0]!.closeCode).toBeGreaterThan(0);
    await client.close();
  });

  it('says where the authority of a broker is that has made its own', async () => {
    const connecting = broker.connecting('memory://fake:1', { ca: 'nowhere/ca.pem' });
    await expect(connecting).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringContaining('tls/ca.pem') as string,
    });
  });

  it.each(['', 'quic://', 'quic://host:0', 'host:99999', 'quic://a b', ','])(
    'refuses the URL %j',
    async (url) => {
      await expect(broker.connecting(url)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    },
  );

  it('refuses an authority that cannot be read', async () => {
    const connecting = broker.connecting('memory://fake:1', { ca: '/nowhere/ca.pem' });
    await expect(connecting).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  });

  it('refuses a key in place of an authority', async () => {
    const connecting = broker.connecting('memory://fake:1', { ca: '-----BEGIN PRIVATE KEY-----' });
    await expect(connecting).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  });

  it('refuses a certificate without key', async () => {
    const connecting = broker.connecting('memory://fake:1', { certificate: '-----BEGIN CERTIFICATE-----' });
    await expect(connecting).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  });
});

describe('a connected client', () => {
  it('comes back after a loss, later each time it fails', async () => {
    const client = await broker.client('memory://fake:1', {
      reconnect: { minDelayMs: 100, maxDelayMs: 300 },
    });
    const delays: number[] = [];
    client.on('retrying', ({ delayMs }) => delays.push(delayMs));
    broker.refuseHello = 'OVERLOADED';
    await broker.pass(2000); // long enough to count as a success
    broker.last.cut();
    await broker.pass(1000);
    expect(delays.slice(0, 4)).toEqual([75, 150, 225, 225]);
    broker.refuseHello = undefined;
    await broker.pass(1000);
    expect(client.connection?.nodeId).toBe('fake');
  });

  it('gives up after as many rounds as are allowed', async () => {
    const client = await broker.client('memory://fake:1', { reconnect: { maxAttempts: 2 } });
    const closed: unknown[] = [];
    client.on('closed', (event) => closed.push(event));
    broker.refuseHello = 'OVERLOADED';
    broker.last.cut();
    await broker.pass(5000);
    expect(closed).toMatchObject([{ error: { code: 'OVERLOADED' } }]);
    await expect(client.admin.listTopics()).rejects.toMatchObject({ code: 'OVERLOADED' });
  });

  it('goes to the alternative of a broker that is draining before it leaves it', async () => {
    await broker.listen(2);
    const client = await broker.client();
    const old = broker.last;
    old.goAway(['nonsense', 'memory://fake:2']);
    await broker.pass(1000);
    expect(client.connection?.url).toBe('memory://fake:2');
    expect(old.closeCode).toBe(0);
  });

  it('goes to another node that it was told of when its own does not answer', async () => {
    await broker.listen(2, 'other');
    broker.nodes = [
      { nodeId: 'fake', urls: ['memory://fake:1'] },
      { nodeId: 'other', urls: ['nonsense', 'quic://fake:2', 'memory://fake:2'] },
    ];
    const client = await broker.client();
    const [silent] = broker.clientEnds;
    silent!.onSilent!();
    await turns(10);
    expect(client.connection).toMatchObject({ url: 'memory://fake:2', nodeId: 'other' });
    expect(broker.connections.map(({ closeCode }) => closeCode)).toEqual([0, undefined]);
    silent!.onSilent!();
    await broker.pass(1000);
    expect(broker.connections).toHaveLength(2);
  });

  it('goes to the next URL that it was given when the node does not answer, and back when that cannot be reached', async () => {
    const client = await broker.client('memory://fake:1,memory://fake:2');
    const disconnected: unknown[] = [];
    client.on('disconnected', (event) => disconnected.push(event));
    broker.clientEnds[0]!.onSilent!();
    await broker.pass(1000);
    const message = expect.stringContaining('nothing was heard for seconds') as string;
    expect(disconnected).toMatchObject([{ url: 'memory://fake:1', error: { code: 'CLOSED', message } }]);
    expect([client.connection?.url, broker.connections.length]).toEqual(['memory://fake:1', 2]);
  });

  it('waits for a node that does not answer where it knows no other', async () => {
    broker.nodes = [{ nodeId: 'fake', urls: ['memory://fake:1', 'memory://fake:2'] }];
    const client = await broker.client();
    broker.clientEnds[0]!.onSilent!();
    await broker.pass(1000);
    expect([client.connection?.url, broker.connections.length]).toEqual(['memory://fake:1', 1]);
  });

  it('waits before it asks the same draining broker again', async () => {
    await broker.client();
    broker.last.goAway();
    await turns(10);
    expect(broker.connections).toHaveLength(1);
    await broker.pass(500);
    expect(broker.connections).toHaveLength(2);
  });

  it('asks a question again that was lost with its connection', async () => {
    const client = await broker.client();
    broker.onRequest = () => undefined;
    const listing = client.admin.listTopics();
    await turns(3);
    broker.onRequest = (request) => broker.defaultAnswer(request);
    broker.last.cut();
    await broker.pass(1000);
    expect(await listing).toEqual([]);
  });

  it('does not repeat a change that was lost with its connection', async () => {
    const client = await broker.client();
    broker.onRequest = () => undefined;
    const creating = client.admin.createTopic({ name: 't' });
    creating.catch(() => undefined);
    await turns(3);
    broker.last.cut();
    await broker.pass(1000);
    await expect(creating).rejects.toMatchObject({ code: 'CLOSED' });
    expect(broker.last.requests).toEqual([]);
  });

  it('gives up a request that is not answered', async () => {
    const client = await broker.client('memory://fake:1', { requestTimeoutMs: 500 });
    broker.onRequest = () => undefined;
    const creating = client.admin.createTopic({ name: 't' });
    creating.catch(() => undefined);
    await broker.pass(600);
    await expect(creating).rejects.toMatchObject({ code: 'TIMEOUT' });
  });

  it('measures a round trip and answers that of the broker', async () => {
    const client = await broker.client();
    expect(await client.ping()).toBe(0);
    broker.last.ping(Buffer.from('hello'));
    await turns(3);
    expect(broker.last.pongs).toEqual([Buffer.from('hello')]);
  });

  it('leaves a broker that speaks nonsense and comes back', async () => {
    const client = await broker.client();
    broker.last.control.send.write(Buffer.from([0xff, 0, 0, 0, 0, 0]));
    await broker.pass(1000);
    expect(broker.connections).toHaveLength(2);
    expect(client.connection?.nodeId).toBe('fake');
  });

  it('closes without error and ends everything', async () => {
    const client = await broker.client();
    const subscription = await client.subscribe('t');
    await client.close();
    await turns(3);
    expect(broker.last.closeCode).toBe(0);
    expect(await subscription[Symbol.asyncIterator]().next()).toEqual({ done: true, value: undefined });
    await expect(client.subscribe('t')).rejects.toMatchObject({ code: 'CLOSED' });
  });
});

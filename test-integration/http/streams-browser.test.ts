import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Chromium } from '../support/chromium.ts';
import type { Page } from '../support/chromium.ts';
import { eventually } from '../support/eventually.ts';
import { NodeProcess } from '../support/node-process.ts';

const TOKEN = 'an-admin-token-that-is-long-enough-for-everybody';

/** What an application in the browser does, in short. */
const SCRIPT = `
  const frames = [], events = [], states = [];
  let socket, source, busyMs = 0;
  function connect(url, ...protocols) {
    socket = new WebSocket(url, protocols);
    socket.onopen = () => states.push('open');
    socket.onclose = ({ code, reason }) => states.push('closed ' + code + ' ' + reason);
    socket.onmessage = ({ data }) => {
      const until = performance.now() + busyMs;
      while (performance.now() < until);
      frames.push(JSON.parse(data));
    };
  }
  function listen(url) {
    source = new EventSource(url);
    source.onopen = () => states.push('open');
    source.onerror = () => states.push('error ' + source.readyState);
    source.onmessage = ({ data, lastEventId }) => events.push({ ...JSON.parse(data), lastEventId });
  }
`;

async function serve(host: string): Promise<Server> {
  const page = `<!doctype html><meta charset="utf-8"><title>page</title><script>${SCRIPT}</script>`;
  const server = createServer((_request, response) =>
    response.setHeader('content-type', 'text/html; charset=utf-8').end(page),
  );
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  return server;
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

describe('streams in a real browser', () => {
  let node: NodeProcess;
  let browser: Chromium;
  let friend: Server;
  let stranger: Server;
  let page: Page;
  let topic = '';
  let topics = 0;

  const url = (scheme: 'ws' | 'http', kind: string, query: string): string =>
    `'${scheme}://127.0.0.1:${node.httpPort}/v1/topics/${topic}/${kind}?${query}'`;
  const connect = (query: string): Promise<unknown> =>
    page.evaluate(`connect(${url('ws', 'stream', query)}, 'sluice.v1', 'sluice.token.${TOKEN}')`);
  const listen = (query = 'from=earliest'): Promise<unknown> =>
    page.evaluate(`listen(${url('http', 'events', `${query}&access_token=${TOKEN}`)})`);
  const publish = async (values: readonly string[]): Promise<void> => {
    await using client = await node.connect({ token: TOKEN });
    const producer = client.producer();
    await Promise.all(values.map((value) => producer.send({ topic, value })));
  };
  const until = (what: string, expression: string, withinMs?: number): Promise<void> =>
    eventually(what, async () => (await page.evaluate(expression)) === true, withinMs);

  beforeAll(async () => {
    friend = await serve('127.0.0.1');
    stranger = await serve('127.0.0.1');
    node = await NodeProcess.start({
      env: {
        SLUICE_AUTH_MODE: 'required',
        SLUICE_AUTH_ADMIN_TOKEN: TOKEN,
        SLUICE_HTTP_ORIGINS: `http://127.0.0.1:${portOf(friend)}`,
      },
    });
    browser = await Chromium.launch();
  });
  afterAll(async () => {
    await browser[Symbol.asyncDispose]();
    await node[Symbol.asyncDispose]();
    for (const server of [friend, stranger]) server.closeAllConnections();
    for (const server of [friend, stranger]) server.close();
  });
  beforeEach(async () => {
    topic = `t${(topics += 1)}`;
    await using client = await node.connect({ token: TOKEN });
    await client.admin.createTopic({ name: topic, partitions: 1, settings: { storage: 'disk' } });
    page = await browser.open(`http://127.0.0.1:${portOf(friend)}/`);
  });

  it('has a WebSocket with the token as a subprotocol, and hears what is published', async () => {
    await connect('from=earliest');
    await until('it is open', `frames.length === 1`);
    await publish(['zwölf €', '\u0000"\\']);
    await until('both came', `frames.length === 3`);
    expect(await page.evaluate(`[socket.protocol, frames[1].value, frames[2].value]`)).toEqual([
      'sluice.v1',
      'zwölf €',
      '\u0000"\\',
    ]);
    const metrics = await (await fetch(`http://127.0.0.1:${node.httpPort}/metrics`)).text();
    expect(metrics).toContain('sluice_http_streams{kind="websocket"} 1');
    expect(metrics).toContain('sluice_http_stream_records_total 2');
  });

  it('is told by the code of the close why it may not have a stream', async () => {
    await connect('from=never');
    await until('it is closed', `states.some((state) => state.startsWith('closed 4037 INVALID_ARGUMENT'))`);
  });

  it('loses and repeats nothing when the node is killed and an EventSource connects again', async () => {
    await listen();
    await until('it is open', `states.includes('open')`);
    await publish(['1', '2', '3']);
    await until('three came', `events.length === 3`);
    await node.kill('SIGKILL');
    await until('it has noticed', `states.includes('error 0')`);
    await node.restart();
    await publish(['4', '5']);
    await until('all came', `events.length >= 5`);
    expect(await page.evaluate(`events.map(({ value }) => value)`)).toEqual(['1', '2', '3', '4', '5']);
  });

  it('goes on as a member of its group after it was loaded again', async () => {
    await publish(['1', '2', '3']);
    await connect('group=pages&from=earliest');
    await until('all came', `frames.filter(({ type }) => !type).length === 3`);
    await page.evaluate(
      `socket.send(JSON.stringify({ id: 1, ack: [{ partition: frames.at(-1).partition, offset: 1 }] }))`,
    );
    await until('it is done', `frames.some(({ type }) => type === 'done')`);
    await page.close();
    page = await browser.open(`http://127.0.0.1:${portOf(friend)}/`);
    await connect('group=pages');
    await until('the rest came', `frames.some(({ type }) => !type)`);
    expect(await page.evaluate(`frames.filter(({ type }) => !type).map(({ value }) => value)`)).toEqual([
      '3',
    ]);
  });

  it('has all of it, in order, when it is slow', async () => {
    await connect('from=earliest');
    await until('it is open', `frames.length === 1`);
    await page.evaluate(`busyMs = 3`);
    const count = 800;
    const value = 'x'.repeat(32 * 1024);
    await publish(Array.from({ length: count }, (_, index) => `${index} ${value}`));
    await until('all came', `frames.length === ${count + 1}`, 90_000);
    expect(
      await page.evaluate(`frames.slice(1).every(({ value }, index) => value.startsWith(index + ' '))`),
    ).toBe(true);
  });

  it('gets nothing where its origin is not allowed', async () => {
    page = await browser.open(`http://127.0.0.1:${portOf(stranger)}/`);
    await connect('from=earliest');
    await until('the socket is closed', `states.some((state) => state.startsWith('closed 1006'))`);
    await listen();
    await until('there are no events', `states.includes('error 2')`);
    await publish(['secret']);
    expect(await page.evaluate(`frames.length + events.length`)).toBe(0);
  });
});

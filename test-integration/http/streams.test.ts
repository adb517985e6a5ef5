import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { NodeProcess } from '../support/node-process.ts';
import { StreamsStage, TestSocket } from './streams-stage.ts';

describe('streams', () => {
  let stage: StreamsStage;

  beforeEach(async () => {
    stage = await StreamsStage.open();
    await stage.create('orders', 2);
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  describe('WebSocket', () => {
    it('sends what is published from its opening on, of every partition', async () => {
      await stage.publish('orders', ['before']);
      const socket = await stage.socket('orders').untilOpen();
      expect(socket.frames[0]).toEqual({
        ...{ type: 'open', topic: 'orders' },
        positions: [
          { partition: 0, offset: 1 },
          { partition: 1, offset: 0 },
        ],
      });
      await stage.publish('orders', [{ key: 'k', value: 'a' }]);
      await stage.publish('orders', ['b'], 1);
      await socket.untilRecords(2);
      expect(socket.records[0]).toEqual({
        ...{ topic: 'orders', partition: 0, offset: 1, timestamp: 1000, key: 'k', value: 'a', headers: {} },
      });
      expect(socket.records[1]).toMatchObject({ partition: 1, offset: 0, value: 'b' });
    });

    it.each([
      ['from=earliest', ['a', 'b', 'c']],
      ['from=1&partitions=0', ['b', 'c']],
      ['positions=0:2', ['c']],
      ['from=last-per-key', ['b', 'c']],
      ['from=earliest&key=x', ['b']],
      ['from=earliest&partitions=1', []],
    ])('begins where it is asked to, with what is asked for: %s', async (query, values) => {
      await stage.publish('orders', [
        { key: 'y', value: 'a' },
        { key: 'x', value: 'b' },
      ]);
      await stage.publish('orders', [{ key: 'y', value: 'c' }]);
      const socket = await stage.socket('orders', query).untilOpen();
      const end = [{ key: 'x', value: 'end' }];
      await stage.publish('orders', end, query.includes('partitions=1') ? 1 : 0);
      await eventually('the end', () => socket.values.includes('end'));
      expect(socket.values).toEqual([...values, 'end']);
    });

    it('gets nothing beyond its credit until it gives more', async () => {
      await stage.publish('orders', ['a', 'b', 'c', 'd', 'e']);
      const socket = await stage.socket('orders', 'from=earliest&credit=2').untilOpen();
      await socket.untilRecords(2);
      socket.say({ id: 1, credit: 2 });
      await eventually('an answer', () => socket.ofType('done').length === 1);
      await socket.untilRecords(4);
      expect([socket.values, socket.ofType('done')]).toEqual([
        ['a', 'b', 'c', 'd'],
        [{ type: 'done', id: 1 }],
      ]);
    });

    it('tells of a gap', async () => {
      await stage.publish('orders', ['a']);
      await stage.publish('orders', ['b']);
      const ann = { name: 'ann', kind: 'token', admin: true, rights: [] } as const;
      await stage.broker.deleteRecords(ann, 'orders', [0], { at: 'offset', offset: 1 });
      const socket = stage.socket('orders', 'from=earliest&positions=0:0');
      await socket.untilRecords(1);
      expect(socket.ofType('gap')).toEqual([
        { type: 'gap', topic: 'orders', partition: 0, from: 0, to: 1, reason: 'deleted' },
      ]);
    });

    it('tells that a topic is gone, and goes on when it is there again', async () => {
      const socket = await stage.socket('orders').untilOpen();
      const ann = { name: 'ann', kind: 'token', admin: true, rights: [] } as const;
      await stage.broker.deleteTopic(ann, 'orders');
      await eventually('both ended', () => socket.ofType('partition-ended').length === 2);
      await stage.create('orders');
      await stage.publish('orders', ['anew']);
      await socket.untilRecords(1);
    });

    it.each([
      ['orders', 'form=earliest', 4037],
      ['orders', 'from=soon', 4037],
      ['orders', 'from=1&from=2', 4037],
      ['orders', 'from=99', 4020],
      ['orders', 'key=a%23', 4036],
      ['secret', '', 4041],
      ['orders', 'partitions=7&from=earliest', undefined],
    ])('says in the socket why a stream cannot be: %s?%s', async (topic, query, code) => {
      const socket = stage.socket(topic, query);
      if (code === undefined) await socket.untilOpen();
      else {
        const { code: found, reason } = await socket.untilClosed();
        expect([found, reason.split(':')[0]]).toEqual([code, socket.ofType('end')[0]!['code']]);
      }
    });

    it.each([
      ['a token', { headers: { authorization: 'Bearer bad' } }, 401, 'UNAUTHENTICATED'],
      ['no token', { headers: {} }, 401, 'UNAUTHENTICATED'],
      ['a strange origin', { origin: 'https://evil.example' }, 403, 'FORBIDDEN'],
    ])('refuses the upgrade for %s', async (_what, options, status, code) => {
      const socket = stage.socket('orders', '', options);
      await eventually('it is refused', () => socket.refused !== undefined);
      expect(socket.refused!.status).toBe(status);
      expect(JSON.parse(socket.refused!.body)).toMatchObject({ error: { code } });
    });

    it('takes the token of a page as a subprotocol, which it does not send back', async () => {
      const socket = stage.socket('orders', '', { headers: {} }, ['sluice.v1', 'sluice.token.good']);
      await socket.untilOpen();
      expect(socket.ws.protocol).toBe('sluice.v1');
    });

    it('takes the token of a page from the address', async () => {
      await stage.socket('orders', 'access_token=good', { headers: {} }).untilOpen();
    });

    it('ends when the credential is no longer good', async () => {
      const socket = await stage.socket('orders').untilOpen();
      stage.credential.isGood = false;
      expect(await socket.untilClosed()).toMatchObject({ code: 4040 });
    });

    it('ends with DRAINING when the gateway is closed', async () => {
      const socket = await stage.socket('orders').untilOpen();
      await stage.streams.close();
      expect(await socket.untilClosed()).toMatchObject({ code: 4006 });
      const late = stage.socket('orders');
      await eventually('it is refused', () => late.refused !== undefined);
      expect(late.refused!.status).toBe(503);
    });

    it('answers a request that is no upgrade, and an upgrade to what is none', async () => {
      const url = stage.url('orders', 'stream').replace('ws', 'http');
      const response = await fetch(url, { headers: { authorization: 'Bearer good' } });
      expect(response.status).toBe(400);
      const socket = stage.socket('a/b');
      await eventually('it is refused', () => socket.refused !== undefined);
      expect(socket.refused!.status).toBe(501);
    });

    it('gives each of many the whole', async () => {
      const sockets = Array.from({ length: 50 }, () => stage.socket('orders', 'from=earliest'));
      for (let index = 0; index < 20; index++) await stage.publish('orders', [`${index}`], index % 2);
      await Promise.all(sockets.map((socket) => socket.untilRecords(20)));
      for (const socket of sockets)
        expect([...socket.values].sort()).toEqual(
          Array.from({ length: 20 }, (_, index) => `${index}`).sort(),
        );
      expect(stage.streams.counters).toMatchObject({ sockets: 50, records: 1000 });
    });
  });

  describe('event stream', () => {
    it('sends records as events, whose ids say where to go on', async () => {
      const events = await stage.events('orders');
      expect(events.response.headers.get('content-type')).toContain('text/event-stream');
      await stage.publish('orders', ['a', 'b']);
      await events.untilValues(2);
      expect(events.events[0]).toMatchObject({ type: 'open', id: '0:0,1:0' });
      expect(events.events[1]).toEqual({
        ...{ id: '0:1,1:0', type: 'message' },
        data: {
          topic: 'orders',
          partition: 0,
          offset: 0,
          timestamp: 1000,
          key: null,
          value: 'a',
          headers: {},
        },
      });
      expect(events.lastId).toBe('0:2,1:0');
      events.close();
    });

    it('goes on after the last event that its client has seen, also where there was none', async () => {
      const events = await stage.events('orders');
      await stage.publish('orders', ['a']);
      await events.untilValues(1);
      const seen = events.lastId;
      events.close();
      await stage.publish('orders', ['b']);
      await stage.publish('orders', ['c'], 1);
      const again = await stage.events('orders', 'from=latest', { 'last-event-id': seen });
      await again.untilValues(2);
      expect([...again.values].sort()).toEqual(['b', 'c']);
      again.close();
    });

    it('says where to go on also past records that its client does not want', async () => {
      await using quick = await StreamsStage.open({ keepAliveMs: 1000 });
      await quick.create('orders');
      const events = await quick.events('orders', 'key=x');
      await quick.publish('orders', [{ key: 'y' }, { key: 'z' }]);
      await eventually('a comment with an id', () => events.text.includes(':\nid: 0:2\n'));
      await eventually('a comment without', () => events.text.includes(':\n\n'));
      events.close();
    });

    it.each([
      ['orders', 'from=soon', 400, 'INVALID_ARGUMENT'],
      ['orders', 'from=99', 416, 'OFFSET_OUT_OF_RANGE'],
      ['secret', '', 403, 'FORBIDDEN'],
      ['orders', 'queue=default', 501, 'UNSUPPORTED'],
      ['orders', 'credit=1', 501, 'UNSUPPORTED'],
      ['orders', 'group=g&commit=manual', 501, 'UNSUPPORTED'],
    ])('is refused as every other request: %s?%s', async (topic, query, status, code) => {
      const { response, events } = await stage.events(topic, query);
      expect([response.status, events]).toEqual([status, []]);
      expect(code).toBeDefined();
    });

    it('is refused without a token, and takes it from the address', async () => {
      const none = await stage.events('orders', '', { authorization: '' });
      expect(none.response.status).toBe(401);
      const shown = await fetch(stage.url('orders', 'events', 'access_token=good'));
      expect(shown.status).toBe(200);
      await shown.body!.cancel();
    });

    it('ends when the credential is no longer good, and says so', async () => {
      const events = await stage.events('orders');
      stage.credential.isGood = false;
      await eventually('it is over', () => events.isOver);
      expect(events.events.at(-1)).toMatchObject({ type: 'end', data: { code: 'UNAUTHENTICATED' } });
    });

    it('is forgotten when its client goes', async () => {
      const events = await stage.events('orders');
      expect(stage.streams.counters.eventStreams).toBe(1);
      events.close();
      await eventually('it is gone', () => stage.streams.counters.eventStreams === 0);
    });
  });

  it('are served over TLS too, by a real node', async () => {
    await using node = await NodeProcess.start({ env: { SLUICE_HTTP_TLS: 'true' } });
    const url = `wss://127.0.0.1:${node.httpPort}/v1/topics/orders/stream`;
    const socket = await new TestSocket(url, [], { ca: readFileSync(node.ca) }).untilOpen();
    await using client = await node.connect();
    const values = Array.from({ length: 2000 }, (_, index) => `${index} ${'x'.repeat(1000)}`);
    const producer = client.producer();
    await Promise.all(values.map((value) => producer.send({ topic: 'orders', key: 'k', value })));
    await socket.untilRecords(values.length);
    expect(socket.values).toEqual(values);
    socket.ws.terminate();
  });
});

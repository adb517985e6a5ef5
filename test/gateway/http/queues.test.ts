import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { SettlementKind } from '../../../src/gen/sluice/client/v1/groups_pb.ts';
import { ERRORS, SluiceError } from '../../../src/kernel/errors.ts';
import { encodeLeaseToken } from '../../../src/wire/lease-token.ts';
import type { AnswerQuestion } from './api-stage.ts';
import { ApiStage } from './api-stage.ts';
import { browsedBatch, leasedBatch, storedBatch } from './leased.ts';

const BATCH = storedBatch(40, ['a', 'b', 'c']);

describe('queues over HTTP', () => {
  let stage: ApiStage;
  const open = async (groups: AnswerQuestion): Promise<void> => {
    stage = await ApiStage.open({ groups });
  };
  afterEach(() => stage[Symbol.asyncDispose]());
  const received = () => ({ batches: [leasedBatch(BATCH, 7, [[41, 43, 2]])], gaps: [] });

  it('gives the records that are leased, and no others, each with a token', async () => {
    await open(received);
    const { status, body } = await stage.post('/v1/queues/jobs/receive', { max: 10 });
    const token = (offset: number): string => encodeLeaseToken({ partition: 3, grant: 7, offset });
    expect([status, body]).toMatchObject([
      200,
      {
        messages: [
          { topic: 'jobs', partition: 3, offset: 41, key: 'k', value: 'b', token: token(41), attempt: 2 },
          { offset: 42, value: 'c', token: token(42) },
        ],
        leaseMs: 30_000,
        gaps: [],
      },
    ]);
  });

  it('answers with what there is room for, and gives the rest back', async () => {
    // A few kilobytes of a compressed batch may be gigabytes of JSON.
    const zeros = '\0'.repeat(1_500_000);
    const batches = [
      leasedBatch(storedBatch(40, [zeros, zeros, 'a', 'b']), 7, [
        [40, 43, 1],
        [43, 44, 2],
      ]),
      leasedBatch(storedBatch(44, ['c']), 8, [[44, 45, 1]]),
    ];
    await open((name) => (name === 'receive' ? { batches, gaps: [] } : { results: [] }));
    const { body } = await stage.post('/v1/queues/jobs/receive', { max: 10 });
    expect((body as { messages: { offset: number }[] }).messages.map(({ offset }) => offset)).toEqual([
      40, 41,
    ]);
    const released = { partition: 3, kind: SettlementKind.RELEASE };
    expect(stage.asked.slice(1)).toMatchObject([
      {
        name: 'settle',
        question: {
          settlements: [
            { ...released, grant: 7n, first: 42n, end: 43n },
            { ...released, grant: 7n, first: 43n, end: 44n },
            { ...released, grant: 8n, first: 44n, end: 45n },
          ],
        },
      },
    ]);
  });

  it('makes dead letters of what cannot be read, and answers with the rest', async () => {
    const bad = storedBatch(30, ['a', 'b']);
    const batches = [
      leasedBatch(bad.subarray(0, -2), 6, [[30, 32, 1]]),
      leasedBatch(BATCH, 7, [[41, 42, 1]]),
    ];
    await open((name) => (name === 'receive' ? { batches, gaps: [] } : { results: [] }));
    const { body } = await stage.post('/v1/queues/jobs/receive', { max: 10 });
    expect((body as { messages: { offset: number }[] }).messages.map(({ offset }) => offset)).toEqual([41]);
    const reason = expect.stringContaining('CORRUPT_BATCH') as string;
    const rejected = { partition: 3, grant: 6n, first: 30n, end: 32n, kind: SettlementKind.REJECT, reason };
    expect(stage.asked.slice(1)).toMatchObject([{ name: 'settle', question: { settlements: [rejected] } }]);
  });

  it('asks for what the request says', async () => {
    await open(received);
    const body = { max: 5, waitMs: 100, maxBytes: 1000, leaseMs: 2000, consumer: 'c' };
    await stage.post('/v1/queues/jobs/workers/receive', body);
    expect(stage.asked).toEqual([
      {
        name: 'receive',
        question: {
          ...{ topic: 'jobs', group: 'workers', consumerId: 'c', maxRecords: 5, maxBytes: 1000 },
          ...{ maxWaitMs: 100, leaseMs: 2000 },
        },
      },
    ]);
  });

  it('keeps no consumer’s name that is long while it waits', async () => {
    await open(received);
    const { status } = await stage.post('/v1/queues/jobs/receive', { consumer: 'x'.repeat(257) });
    expect([status, stage.asked]).toEqual([400, []]);
  });

  it('takes one record when the request says nothing', async () => {
    await open(received);
    await stage.post('/v1/queues/jobs/receive');
    expect(stage.asked[0]!.question).toMatchObject({ group: '', maxRecords: 1, maxWaitMs: 0 });
  });

  it('gives up the wait of a client that has gone, and what it got', async () => {
    const { promise: asked, resolve: onAsked } = Promise.withResolvers<undefined>();
    const { promise: released, resolve: onReleased } = Promise.withResolvers<unknown>();
    await open(async (name, question, signal) => {
      if (name === 'settle') {
        onReleased(question);
        return { results: [] };
      }
      onAsked(undefined);
      await once(signal!, 'abort');
      return received();
    });
    const socket = connect(stage.gateway.port, '127.0.0.1');
    const body = '{"waitMs":30000}';
    socket.write(
      `POST /v1/queues/jobs/receive HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    await asked;
    socket.destroy();
    expect(await released).toMatchObject({
      topic: 'jobs',
      settlements: [{ partition: 3, grant: 7n, first: 41n, end: 43n, kind: SettlementKind.RELEASE }],
    });
  });

  it.each([
    ['ack', {}, { kind: SettlementKind.ACK }],
    ['nack', { delayMs: 5, reason: 'r' }, { kind: SettlementKind.NACK, delayMs: 5, reason: 'r' }],
    ['reject', { reason: 'r' }, { kind: SettlementKind.REJECT, reason: 'r' }],
    ['extend', { leaseMs: 50 }, { kind: SettlementKind.EXTEND, delayMs: 50 }],
    ['release', {}, { kind: SettlementKind.RELEASE }],
  ])('settles by %s', async (action, more, expected) => {
    await open(() => ({ results: [{ errorCode: 0, errorMessage: '' }] }));
    const tokens = [encodeLeaseToken({ partition: 3, grant: 7, offset: 41 })];
    const { status, body } = await stage.post(`/v1/queues/jobs/workers/${action}`, { tokens, ...more });
    expect([status, body]).toEqual([200, { results: [{ token: tokens[0] }] }]);
    expect(stage.asked[0]).toMatchObject({
      name: 'settle',
      question: {
        ...{ topic: 'jobs', group: 'workers' },
        settlements: [{ partition: 3, grant: 7n, first: 41n, end: 42n, ...expected }],
      },
    });
  });

  it('is no success when one of the leases is over', async () => {
    const expired = { errorCode: ERRORS.LEASE_EXPIRED.wire, errorMessage: 'gone' };
    await open(() => ({ results: [{ errorCode: 0, errorMessage: '' }, expired] }));
    const { status, body } = await stage.post('/v1/queues/jobs/ack', { tokens: ['0.1.2', '0.1.3'] });
    const error = { code: 'LEASE_EXPIRED', message: 'gone' };
    expect([status, body]).toEqual([
      410,
      { error, results: [{ token: '0.1.2' }, { token: '0.1.3', error }] },
    ]);
  });

  it.each([
    ['no token', { tokens: ['x'] }],
    ['no tokens', { tokens: [] }],
    ['nothing', {}],
    ['something else', { tokens: ['0.1.2'], reason: 'r' }],
  ])('refuses %s', async (_what, body) => {
    await open(() => ({ results: [] }));
    const answer = await stage.post('/v1/queues/jobs/ack', body);
    expect([answer.status, answer.body]).toMatchObject([400, { error: { code: 'INVALID_ARGUMENT' } }]);
  });

  it('configures a queue', async () => {
    await open(() => ({
      settings: { leaseMs: 1000, maxAttempts: 3, start: { at: { case: 'earliest', value: true } } },
    }));
    const answer = await stage.call('PUT', '/v1/queues/jobs', { leaseMs: 1000, maxAttempts: 3, start: '@5' });
    expect([answer.status, answer.body, stage.asked[0]!.question]).toEqual([
      200,
      { settings: { leaseMs: 1000, maxAttempts: 3 } },
      {
        ...{ topic: 'jobs', group: '' },
        settings: { leaseMs: 1000, maxAttempts: 3, start: { at: { case: 'timestampMs', value: 5n } } },
      },
    ]);
  });

  it('tells why it cannot', async () => {
    await open(() => {
      throw new SluiceError('NOT_LEADER', 'nobody coordinates it');
    });
    const { status, body, headers } = await stage.get('/v1/queues/jobs');
    expect([status, body, headers.get('retry-after')]).toMatchObject([
      503,
      { error: { code: 'NOT_LEADER' } },
      '1',
    ]);
  });

  describe('of dead letters', () => {
    const browse: AnswerQuestion = (_name, question) => {
      const isFirst = (question.positions as unknown[]).length === 0;
      return isFirst
        ? { batches: [browsedBatch(BATCH, [[40, 42, 5]])], next: [{ partition: 3, offset: 42n }] }
        : { batches: [browsedBatch(BATCH, [[42, 43, 1]])], next: [] };
    };

    it('that have no room in an answer are in the next', async () => {
      const zeros = '\0'.repeat(1_500_000);
      const other = { ...browsedBatch(storedBatch(7, ['c']), [[7, 8, 1]]), partition: 4 };
      const batches = [browsedBatch(storedBatch(40, [zeros, zeros, 'a']), [[40, 43, 1]]), other];
      await open(() => ({ batches, next: [{ partition: 4, offset: 8n }] }));
      const { body } = await stage.get('/v1/dead-letters/jobs');
      expect((body as { messages: { offset: number }[] }).messages).toMatchObject([
        { offset: 40 },
        { offset: 41 },
      ]);
      expect((body as { next: string }).next).toBe('3:42,4:7');
    });

    it('are shown page by page', async () => {
      await open(browse);
      const first = await stage.get('/v1/dead-letters/jobs?limit=2');
      const { next } = first.body as { next: string };
      const second = await stage.get(`/v1/dead-letters/jobs?limit=2&from=${next}`);
      expect([first.body, second.body]).toMatchObject([
        {
          messages: [{ topic: 'dlq.jobs', offset: 40, value: 'a', attempt: 5 }, { offset: 41 }],
          next: '3:42',
        },
        { messages: [{ offset: 42, value: 'c' }] },
      ]);
      expect(second.body).not.toHaveProperty('next');
    });

    it('are exported as lines', async () => {
      await open(browse);
      const { body, headers } = await stage.get('/v1/dead-letters/jobs/export');
      const values = (body as string)
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as { value: string }).value);
      expect([headers.get('content-type'), values]).toEqual(['application/x-ndjson', ['a', 'b', 'c']]);
    });

    it('are replayed, one or all', async () => {
      await open(() => ({ moved: 2n }));
      await stage.post('/v1/dead-letters/jobs/replay', {
        records: [{ partition: 3, offset: 40 }],
        destination: 'd',
      });
      const all = await stage.post('/v1/dead-letters/jobs/replay');
      expect([all.status, all.body, stage.asked.map(({ question }) => question)]).toEqual([
        200,
        { moved: 2 },
        [
          {
            topic: 'dlq.jobs',
            group: '',
            ranges: [{ partition: 3, first: 40n, end: 41n }],
            destination: 'd',
          },
          { topic: 'dlq.jobs', group: '', ranges: [], destination: '' },
        ],
      ]);
    });

    it('are deleted by name, and all only when that is meant', async () => {
      await open(() => ({ discarded: 1n }));
      const none = await stage.post('/v1/dead-letters/jobs/delete', { records: [] });
      const one = await stage.post('/v1/dead-letters/jobs/delete', {
        records: [{ partition: 0, offset: 1 }],
      });
      const all = await stage.call('DELETE', '/v1/dead-letters/jobs');
      expect([none.status, one.body, all.body, stage.asked.length]).toEqual([
        400,
        { discarded: 1 },
        { discarded: 1 },
        2,
      ]);
    });
  });
});

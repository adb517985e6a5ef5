import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Client } from '../../../src/client/client.ts';
import type { BrowsedRecord } from '../../../src/client/queues/admin.ts';
import { SettlementKind } from '../../../src/gen/sluice/client/v1/groups_pb.ts';
import { ERRORS } from '../../../src/kernel/errors.ts';
import { encodeLeaseToken } from '../../../src/wire/lease-token.ts';
import { RecordBatchEncoder } from '../../../src/wire/record-batch-encoder.ts';
import { stampBatch } from '../../../src/wire/record-batch.ts';
import { batchOf, FakeBroker } from '../fake-broker.ts';
import type { GroupBody, ScriptedAnswer } from '../scripted-groups.ts';
import { scriptGroups } from '../scripted-groups.ts';

let broker: FakeBroker;
let client: Client;
let asked: GroupBody[];
beforeEach(async () => {
  broker = await FakeBroker.open();
  client = await broker.client();
});
afterEach(() => broker[Symbol.asyncDispose]());

/** Answers each question in turn. */
function script(...answers: ScriptedAnswer[]): void {
  asked = scriptGroups(broker, answers);
}

/** A page of one batch of partition 1. */
function page(
  batch: Buffer,
  ranges: [first: number, end: number, attempts: number][],
  next?: number,
): ScriptedAnswer {
  const records = ranges.map(([first, end, attempt]) => ({
    first: BigInt(first),
    end: BigInt(end),
    attempt,
  }));
  return {
    case: 'browseQueue',
    value: {
      batches: [{ partition: 1, batch, records }],
      next: next === undefined ? [] : [{ partition: 1, offset: BigInt(next) }],
    },
  };
}

/** A dead letter at `offset`. */
function letter(offset: number, headers: Record<string, string | Buffer>, value = 'v'): Buffer {
  const encoder = new RecordBatchEncoder();
  const pairs = Object.entries(headers).map(([key, text]) => ({ key, value: Buffer.from(text as string) }));
  encoder.append(Buffer.from('k'), Buffer.from(value), pairs, 1000);
  const batch = encoder.finish({ codec: 'none' });
  stampBatch(batch, offset, 1);
  return batch;
}

const LETTER = {
  mine: 'x',
  'sluice-dlq-reason': 'rejected',
  'sluice-dlq-text': 'no',
  'sluice-dlq-attempts': '3',
  'sluice-dlq-group': 'g',
  'sluice-dlq-topic': 'jobs',
  'sluice-dlq-partition': '4',
  'sluice-dlq-offset': '55',
  'sluice-dlq-time': '1234',
};

describe('administration of queues', () => {
  it('lists queues', async () => {
    const queue = { topic: 't', group: 'g', coordinatorNodeId: 'n1' };
    script({ case: 'listQueues', value: { queues: [{ ...queue, ready: 1n, leased: 2n, delayed: 3n }] } });
    expect(await client.admin.queues.list()).toEqual([{ ...queue, ready: 1, leased: 2, delayed: 3 }]);
  });

  it('describes a queue, all partitions together too', async () => {
    const settings = {
      leaseMs: 1,
      maxAttempts: 2,
      backoffMs: 3,
      maxBackoffMs: 4,
      orderedByKey: true,
      deadLetterTopic: 'dlq.t',
    };
    const partition = { floor: 1n, cursor: 2n, end: 9n, ready: 3n, leased: 4n, delayed: 5n };
    script({
      case: 'describeQueue',
      value: {
        topic: 't',
        group: 'default',
        settings,
        partitions: [
          { partition: 0, ...partition },
          { partition: 1, ...partition },
        ],
        coordinatorNodeId: 'n1',
        waitingConsumers: 6,
      },
    });
    expect(await client.admin.queues.describe('t')).toMatchObject({
      settings,
      partitions: [{ partition: 0, floor: 1, cursor: 2, end: 9 }, { partition: 1 }],
      ready: 6,
      leased: 8,
      delayed: 10,
      waitingConsumers: 6,
    });
    expect(asked[0]!.value).toMatchObject({ topic: 't', group: 'default' });
  });

  it('changes of a queue only what is given', async () => {
    script({ case: 'configureQueue', value: { settings: { leaseMs: 5000, maxAttempts: 0 } } });
    const now = await client.admin.queues.configure('t', { leaseMs: 5000, from: 'latest' }, 'g');
    expect(now).toMatchObject({ leaseMs: 5000, maxAttempts: 0 });
    const { settings } = asked[0]!.value as { settings: object };
    expect(settings).toMatchObject({ leaseMs: 5000, start: { at: { case: 'latest' } } });
    expect(settings).not.toHaveProperty('maxAttempts');
  });

  it('looks at records page by page', async () => {
    script(
      page(
        batchOf(0, ['a', 'b', 'c']),
        [
          [0, 1, 2],
          [2, 3, 0],
        ],
        3,
      ),
      page(batchOf(3, ['d']), [[3, 4, 1]]),
    );
    const seen: unknown[] = [];
    const show = ({ record, attempts }: BrowsedRecord): unknown => [
      record.partition,
      record.offset,
      record.text(),
      attempts,
    ];
    for await (const browsed of client.admin.queues.browse('t', 'g', [{ partition: 1, offset: 0 }]))
      seen.push(show(browsed));
    expect(seen).toEqual([
      [1, 0, 'a', 2],
      [1, 2, 'c', 0],
      [1, 3, 'd', 1],
    ]);
    expect(asked.map(({ value }) => (value as { positions: unknown }).positions)).toMatchObject([
      [{ partition: 1, offset: 0n }],
      [{ partition: 1, offset: 3n }],
    ]);
  });

  it('moves records, neighbours as one range', async () => {
    script({ case: 'moveRecords', value: { moved: 4n } });
    const records = [
      { partition: 1, offset: 8 },
      { partition: 0, offset: 3 },
      { partition: 0, offset: 2 },
      { partition: 0, offset: 5 },
      { partition: 0, offset: 5 },
    ];
    expect(await client.admin.queues.move('t', 'other', { group: 'g', records })).toBe(4);
    expect(asked[0]!.value).toMatchObject({
      topic: 't',
      group: 'g',
      destination: 'other',
      ranges: [
        { partition: 0, first: 2n, end: 4n },
        { partition: 0, first: 5n, end: 6n },
        { partition: 1, first: 8n, end: 9n },
      ],
    });
  });

  it('does nothing to no records, which would be all for the broker', async () => {
    script();
    expect(await client.admin.queues.move('t', 'other', { records: [] })).toBe(0);
    expect(await client.admin.queues.discard('t', { records: [] })).toBe(0);
    expect(asked).toEqual([]);
  });
});

describe('settling by token', () => {
  const token = (offset: number): string => encodeLeaseToken({ partition: 1, grant: 40, offset });

  it('settles records that another process has received, and says which it could not', async () => {
    const refused = { errorCode: ERRORS.LEASE_EXPIRED.wire, errorMessage: 'too late' };
    script({ case: 'settle', value: { results: [{}, refused] } });
    const options = { group: 'g', delayMs: 0, reason: 'why' };
    const errors = await client.admin.queues.settle('t', 'nack', [token(7), token(9)], options);
    expect(errors).toMatchObject([undefined, { code: 'LEASE_EXPIRED', message: 'too late' }]);
    const one = { partition: 1, grant: 40n, kind: SettlementKind.NACK, delayMs: 0, reason: 'why' };
    expect(asked[0]!.value).toMatchObject({
      topic: 't',
      group: 'g',
      settlements: [
        { ...one, first: 7n, end: 8n },
        { ...one, first: 9n, end: 10n },
      ],
    });
  });

  it('leaves the delay to the queue where none is given', async () => {
    script({ case: 'settle', value: { results: [{}] } });
    await client.admin.queues.settle('t', 'extend', [token(7)]);
    const { settlements } = asked[0]!.value as { settlements: readonly object[] };
    expect(settlements[0]).toMatchObject({ kind: SettlementKind.EXTEND });
    expect((settlements[0] as { delayMs?: number }).delayMs).toBeUndefined();
  });

  it('asks several times for many, and answers in their order', async () => {
    const refused = { errorCode: ERRORS.LEASE_EXPIRED.wire };
    const all = (count: number): object[] => Array.from({ length: count }, () => ({}));
    script(
      { case: 'settle', value: { results: all(500) } },
      { case: 'settle', value: { results: [refused, ...all(99)] } },
    );
    const tokens = Array.from({ length: 600 }, (_, offset) => token(offset));
    const errors = await client.admin.queues.settle('t', 'ack', tokens);
    expect(errors).toHaveLength(600);
    expect(errors.findIndex((error) => error !== undefined)).toBe(500);
  });

  it('asks nothing when one is no token', async () => {
    script();
    const settling = client.admin.queues.settle('t', 'ack', [token(1), 'nonsense']);
    await expect(settling).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(asked).toEqual([]);
  });
});

describe('dead letters', () => {
  it('say why they are that, and where they came from', async () => {
    script(page(letter(7, LETTER), [[7, 8, 0]]));
    const [found] = await client.admin.deadLetters('jobs').list();
    expect(found).toMatchObject({
      partition: 1,
      offset: 7,
      reason: 'rejected',
      text: 'no',
      attempts: 3,
      group: 'g',
      origin: { topic: 'jobs', partition: 4, offset: 55 },
      atMs: 1234,
    });
    expect(found!.record.keyText()).toBe('k');
    expect(asked[0]!.value).toMatchObject({ topic: 'dlq.jobs', group: 'default' });
  });

  it('may be other records too', async () => {
    script(page(letter(7, {}), [[7, 8, 0]]));
    const [found] = await client.admin.deadLetters('dlq.jobs').list();
    expect(found).toMatchObject({ reason: '', origin: undefined, atMs: undefined });
    expect(asked[0]!.value).toMatchObject({ topic: 'dlq.jobs' });
  });

  it('are none where there is no topic for them', async () => {
    script({ error: 'TOPIC_NOT_FOUND' });
    expect(await client.admin.deadLetters('jobs').list()).toEqual([]);
  });

  it('are listed only as far as wanted', async () => {
    script(page(batchOf(0, ['a', 'b', 'c']), [[0, 3, 0]], 3));
    expect(await client.admin.deadLetters('jobs').list({ max: 2 })).toHaveLength(2);
    expect(asked).toHaveLength(1);
  });

  it('are looked at one by one', async () => {
    const described: ScriptedAnswer = {
      case: 'describeQueue',
      value: { partitions: [0, 1].map((partition) => ({ partition, end: 40n })) },
    };
    script(
      described,
      page(letter(7, LETTER), [[7, 8, 0]]),
      described,
      page(letter(9, LETTER), [[9, 10, 0]], 10),
    );
    const letters = client.admin.deadLetters('jobs');
    expect(await letters.peek({ partition: 1, offset: 7 })).toMatchObject({ offset: 7 });
    expect(asked[1]!.value).toMatchObject({
      positions: [
        { partition: 0, offset: 40n },
        { partition: 1, offset: 7n },
      ],
    });
    await expect(letters.peek({ partition: 1, offset: 8 })).rejects.toMatchObject({
      code: 'RECORD_NOT_FOUND',
    });
  });

  it('are looked at one by one also where nobody has looked at them before', async () => {
    script({ error: 'QUEUE_NOT_FOUND' }, page(letter(7, LETTER), [[7, 8, 0]]));
    const found = await client.admin.deadLetters('jobs').peek({ partition: 1, offset: 7 });
    expect(found).toMatchObject({ offset: 7 });
    expect(asked[1]!.value).toMatchObject({ positions: [{ partition: 1, offset: 7n }] });
  });

  it('go back to where they came from, or are forgotten', async () => {
    script(
      { case: 'moveRecords', value: { moved: 2n } },
      { case: 'moveRecords', value: { moved: 1n } },
      { case: 'discardRecords', value: { discarded: 1n } },
      { case: 'discardRecords', value: { discarded: 9n } },
    );
    const letters = client.admin.deadLetters('jobs');
    const one = [{ partition: 1, offset: 7 }];
    expect(await letters.replay()).toBe(2);
    expect(await letters.replay(one, { destination: 'd' })).toBe(1);
    expect(await letters.delete(one)).toBe(1);
    expect(await letters.purge()).toBe(9);
    const ranges = [{ partition: 1, first: 7n, end: 8n }];
    expect(asked.map(({ value }) => value)).toMatchObject([
      { topic: 'dlq.jobs', ranges: [], destination: '' },
      { ranges, destination: 'd' },
      { ranges },
      { topic: 'dlq.jobs', ranges: [] },
    ]);
  });

  it('are exported as one JSON text a line', async () => {
    script(
      page(letter(7, { a: 'x' }, 'wörter'), [[7, 8, 0]], 8),
      page(letter(8, { a: Buffer.from([255]) }), [[8, 9, 0]]),
    );
    const lines: string[] = [];
    for await (const line of client.admin.deadLetters('jobs').export()) lines.push(line);
    const base = '{"topic":"dlq.jobs","partition":1,"offset":';
    expect(lines).toEqual([
      `${base}7,"timestamp":1000,"key":"k","value":"wörter","headers":{"a":"x"}}\n`,
      `${base}8,"timestamp":1000,"key":"aw==","value":"dg==","headers":{"a":"/w=="},"encoding":"base64"}\n`,
    ]);
  });
});

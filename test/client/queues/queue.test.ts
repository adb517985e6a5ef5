import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Job } from '../../../src/client/queues/job.ts';
import type { Queue } from '../../../src/client/queues/queue.ts';
import { filterBatch } from '../../../src/wire/record-batch-filter.ts';
import { turns } from '../../support/turns.ts';
import { batchOf } from '../fake-broker.ts';
import { numbers, QueueStage } from './queue-stage.ts';

let stage: QueueStage;
beforeEach(async () => {
  stage = await QueueStage.open();
});
afterEach(() => stage[Symbol.asyncDispose]());

const asked = (): number[] => stage.receives.map(({ request }) => request.maxRecords);
const text = ({ record, attempt }: Job): string => `${record.offset}=${record.text()} #${attempt}`;

/** Takes jobs one at a time; undefined where none is there. */
class Taking {
  readonly #iterator: AsyncIterator<Job, undefined>;
  #next: Promise<IteratorResult<Job, undefined>> | undefined;

  constructor(queue: Queue) {
    this.#iterator = queue[Symbol.asyncIterator]();
  }

  async next(): Promise<Job | undefined> {
    this.#next ??= this.#iterator.next();
    const result = await Promise.race([this.#next, turns(6)]);
    if (result === undefined) return undefined;
    this.#next = undefined;
    return result.value;
  }

  async all(): Promise<Job[]> {
    const jobs: Job[] = [];
    for (let job = await this.next(); job !== undefined; job = await this.next()) jobs.push(job);
    return jobs;
  }

  async break(): Promise<void> {
    await this.#iterator.return!();
  }
}

async function received(queue: Queue, ...batches: Parameters<QueueStage['lease']>): Promise<Job[]> {
  const jobs = queue.receive({ max: 100 });
  await stage.lease(...batches);
  return jobs;
}

describe('receiving once', () => {
  it('asks for what its options say', async () => {
    const queue = await stage.queue({ group: 'g', leaseMs: 5000, consumerId: 'me' });
    const refused = expect(queue.receive({ max: 7, waitMs: 60_000 })).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
    await turns(4);
    expect(stage.receives[0]!.request).toMatchObject({
      topic: 'q',
      group: 'g',
      consumerId: 'me',
      maxRecords: 7,
      maxWaitMs: 30_000,
      leaseMs: 5000,
    });
    stage.receives[0]!.answer({ error: 'FORBIDDEN' });
    await refused;
  });

  it('gives the leased records of a batch, and no others of it', async () => {
    const queue = await stage.queue();
    const leases = [
      [11, 12, 3],
      [13, 15, 1],
    ] as const;
    const jobs = await received(queue, { base: 10, values: numbers(6, 10), leases });
    expect(jobs.map(text)).toEqual(['11=11 #3', '13=13 #1', '14=14 #1']);
  });

  it('acknowledges offsets that were leased and have no record', async () => {
    const queue = await stage.queue();
    const kept = filterBatch(
      batchOf(0, numbers(6)),
      (record) => ['1', '4'].includes(record.value!.toString()),
      9e9,
    );
    const jobs = await received(queue, { values: [], bytes: kept, leases: [[0, 6, 1]] });
    expect(jobs.map(text)).toEqual(['1=1 #1', '4=4 #1']);
    await turns(4);
    expect(stage.settled).toEqual(['ack 0.1 [0, 1); ack 0.1 [2, 4); ack 0.1 [5, 6)']);
  });

  it('rejects what cannot be read, and tells so', async () => {
    const queue = await stage.queue();
    const seen: unknown[] = [];
    queue.on('unsettled', ({ first, end, error }) => seen.push([first, end, error.code]));
    const bytes = batchOf(0, numbers(3));
    bytes[bytes.length - 1]! ^= 1;
    const jobs = await received(queue, { values: [], bytes, leases: [[1, 3, 1]] });
    await turns(4);
    expect(jobs).toEqual([]);
    expect(seen).toEqual([[1, 3, 'CORRUPT_BATCH']]);
    expect(stage.settled[0]).toMatch(/^reject 0\.1 \[1, 3\) corrupt/);
  });

  it('asks again when the connection was lost, or the coordinator has moved', async () => {
    const queue = await stage.queue();
    const jobs = queue.receive();
    await stage.refuseReceive('NOT_LEADER');
    await stage.broker.pass(100);
    stage.broker.last.cut();
    await stage.broker.pass(1000);
    stage.receives.shift();
    await stage.lease({ values: ['a'] });
    expect((await jobs).map(text)).toEqual(['0=a #1']);
  });

  it('waits a whole number of milliseconds, no fewer than it is told', async () => {
    const queue = await stage.queue();
    const jobs = queue.receive({ waitMs: 0.2 });
    await turns(4);
    expect(stage.receives[0]!.request.maxWaitMs).toBe(1);
    await stage.lease({ values: ['a'] });
    expect((await jobs).map(text)).toEqual(['0=a #1']);
  });

  it.each([{ max: 0 }, { max: 10_001 }, { leaseMs: 5 }, { waitMs: -1 }, { waitMs: NaN }])(
    'is refused with %j',
    async (options) => {
      const queue = await stage.queue();
      await expect(queue.receive(options)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    },
  );
});

describe('a job', () => {
  it('is settled in each way', async () => {
    const queue = await stage.queue();
    const [a, b, c, d, e] = await received(queue, { partition: 2, grant: 9, values: numbers(5) });
    await Promise.all([
      a!.ack(),
      b!.nack({ delayMs: 49.5, reason: 'later' }),
      c!.reject('bad'),
      d!.release(),
      e!.extend(1000),
    ]);
    expect(stage.settled[0]!.split('; ').sort()).toEqual([
      'ack 2.9 [0, 1)',
      'extend 2.9 [4, 5) 1000 ms',
      'nack 2.9 [1, 2) 50 ms later',
      'reject 2.9 [2, 3) bad',
      'release 2.9 [3, 4)',
    ]);
  });

  it('has a token that names its lease', async () => {
    const queue = await stage.queue();
    const [job] = await received(queue, { partition: 2, grant: 40, base: 100, values: ['a'] });
    expect(job!.token).toBe('2.14.2s');
  });

  it('cannot be settled twice', async () => {
    const queue = await stage.queue();
    const [job] = await received(queue, { values: ['a'] });
    await job!.ack();
    await expect(job!.nack()).rejects.toMatchObject({ code: 'LEASE_EXPIRED' });
    await expect(job!.extend()).rejects.toMatchObject({ code: 'LEASE_EXPIRED' });
    expect(stage.settles).toHaveLength(1);
  });

  it('is not settled where the delay is none', async () => {
    const queue = await stage.queue();
    const [job] = await received(queue, { values: ['a'] });
    await expect(job!.nack({ delayMs: -1 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(job!.settled).toBe(false);
  });

  it('has failed when it leaves its block unsettled', async () => {
    const queue = await stage.queue();
    const [first, second] = await received(queue, { values: ['a', 'b'] });
    {
      using one = first!;
      using two = second!;
      void two.ack();
      expect(one.settled).toBe(false);
    }
    await turns(4);
    expect(stage.settled).toEqual(
      ['ack 0.1 [1, 2); nack 0.1 [0, 1)'].map((settled) => settled.split('; ').reverse().join('; ')),
    );
  });

  it('knows how long its lease is', async () => {
    const queue = await stage.queue();
    const [job] = await received(queue, { values: ['a'], leaseMs: 1000 });
    await stage.broker.pass(400);
    expect(job!.leaseLeftMs).toBe(600);
    await job!.extend(2000);
    expect(job!.leaseLeftMs).toBe(2000);
    await stage.broker.pass(2500);
    expect(job!.leaseLeftMs).toBe(0);
  });

  it('tells whoever waits, and whoever listens, that its lease was over', async () => {
    const queue = await stage.queue();
    const seen: unknown[] = [];
    queue.on('unsettled', ({ partition, first, end, error }) =>
      seen.push([partition, first, end, error.code]),
    );
    const [job, other] = await received(queue, { values: ['a', 'b'] });
    stage.refuse = 'LEASE_EXPIRED';
    await expect(job!.ack()).rejects.toMatchObject({ code: 'LEASE_EXPIRED' });
    void other!.ack(); // nobody waits: it must not end the process
    await turns(4);
    expect(seen).toEqual([
      [0, 0, 1, 'LEASE_EXPIRED'],
      [0, 1, 2, 'LEASE_EXPIRED'],
    ]);
  });
});

describe('acknowledgements', () => {
  it('of neighbours go as one range, whatever their order', async () => {
    const queue = await stage.queue();
    const jobs = await received(queue, { values: numbers(8) }, { grant: 2, base: 8, values: numbers(2) });
    for (const index of [3, 4, 0, 1, 2, 9, 6, 8]) void jobs[index]!.ack();
    await turns(4);
    expect(stage.settled).toEqual(['ack 0.1 [0, 5); ack 0.1 [6, 7); ack 0.2 [8, 10)']);
  });

  it('of batches that were leased together go as one range', async () => {
    const queue = await stage.queue();
    const batches = [
      { values: numbers(2) },
      { base: 2, values: numbers(2) },
      { partition: 1, values: ['a'] },
    ];
    for (const job of await received(queue, ...batches)) void job.ack();
    const taking = new Taking(queue);
    await taking.next();
    await stage.lease(...batches.map((batch) => ({ ...batch, grant: 2 })));
    for (const job of await taking.all()) void job.ack();
    await turns(4);
    expect(stage.settled).toEqual(['ack 0.1 [0, 4); ack 1.1 [0, 1)', 'ack 0.2 [0, 4); ack 1.2 [0, 1)']);
  });

  it('gather while a request is on its way', async () => {
    const queue = await stage.queue();
    const jobs = await received(queue, { values: numbers(100) });
    stage.hold = true;
    void jobs[0]!.ack();
    await turns(4);
    const rest = jobs.slice(1).map((job) => job.ack());
    await turns(4);
    expect(stage.settled).toEqual(['ack 0.1 [0, 1)']);
    stage.release();
    await Promise.all(rest);
    expect(stage.settled).toEqual(['ack 0.1 [0, 1)', 'ack 0.1 [1, 100)']);
  });

  it('come after what extends the lease', async () => {
    const queue = await stage.queue();
    const jobs = await received(queue, { values: numbers(3) });
    const extended = jobs[1]!.extend(5000);
    void jobs[0]!.ack();
    void jobs[1]!.ack();
    await extended;
    expect(stage.settled).toEqual(['extend 0.1 [1, 2) 5000 ms; ack 0.1 [0, 2)']);
  });

  it('that nobody answers hold back what is received', async () => {
    const queue = await stage.queue({ credit: 1 });
    const taking = new Taking(queue);
    stage.hold = true;
    for (let offset = 0; offset < 10; offset++) {
      const job = taking.next();
      await stage.broker.pass(10);
      await stage.lease({ grant: offset, base: offset, values: ['a'] });
      void ((await job) ?? (await taking.next()))!.ack();
    }
    await taking.next();
    await stage.broker.pass(10);
    expect(asked()).toEqual([]);
    stage.release();
    await turns(4);
    await stage.broker.pass(10);
    expect(asked()).toEqual([1]);
  });

  it('are sent again on the next connection', async () => {
    const queue = await stage.queue();
    const [job] = await received(queue, { values: ['a'] });
    stage.hold = true;
    const done = job!.ack();
    await turns(4);
    stage.broker.last.cut();
    stage.hold = false;
    await stage.broker.pass(1000);
    await done;
    expect(stage.settled).toEqual(['ack 0.1 [0, 1)', 'ack 0.1 [0, 1)']);
  });

  it.each([
    ['succeed when their repetition finds the lease gone that cannot be over', 30_000, undefined],
    ['fail when their repetition finds the lease gone that may be over', 50, 'LEASE_EXPIRED'],
  ])('%s', async (_what, leaseMs, code) => {
    const queue = await stage.queue();
    const [job] = await received(queue, { values: ['a'], leaseMs });
    expect(await stage.repeatedAck(job!, 1000)).toBe(code);
  });

  it('are tried again while there is no coordinator, and fail after a while', async () => {
    const queue = await stage.queue();
    const [job] = await received(queue, { values: ['a'] });
    stage.refuseRequest = 'NOT_LEADER';
    const done = expect(job!.ack()).rejects.toMatchObject({ code: 'TIMEOUT' });
    await stage.broker.pass(16_000);
    await done;
    expect(stage.settles.length).toBeGreaterThan(10);
  });
});

describe('iterating', () => {
  it('asks for what is free as soon as half of the credit is', async () => {
    const queue = await stage.queue({ credit: 10 });
    const taking = new Taking(queue);
    await taking.next();
    expect(asked()).toEqual([10]);
    await stage.lease({ values: numbers(10) });
    const jobs: Job[] = [];
    for (let index = 0; index < 4; index++) jobs.push((await taking.next())!);
    for (const job of jobs) void job.ack();
    await stage.broker.pass(10);
    expect(asked()).toEqual([]);
    void (await taking.next())!.ack();
    await stage.broker.pass(10);
    expect(asked()).toEqual([5]);
    expect((await taking.all()).map(text)).toEqual(['5=5 #1', '6=6 #1', '7=7 #1', '8=8 #1', '9=9 #1']);
    await stage.broker.pass(10);
    expect(asked()).toEqual([5]);
  });

  it('asks once for all that was taken in one turn', async () => {
    const queue = await stage.queue({ credit: 10 });
    const taking = new Taking(queue);
    await taking.next();
    await stage.lease({ values: numbers(10) });
    const iterator = queue[Symbol.asyncIterator]();
    for (let index = 0; index < 9; index++) void (await iterator.next()).value!.ack();
    await stage.broker.pass(10);
    expect(asked()).toEqual([9]);
  });

  it('settles in one request what was taken and acknowledged in one turn, and asks for more after it', async () => {
    const queue = await stage.queue({ credit: 10 });
    const taking = new Taking(queue);
    await taking.next();
    await stage.lease({ values: numbers(10) });
    const order: (string | undefined)[] = [];
    const answer = stage.broker.onRequest;
    stage.broker.onRequest = (request, ...rest) => {
      if (request.case === 'group') order.push(request.value.body.case);
      return answer(request, ...rest);
    };
    const iterator = queue[Symbol.asyncIterator]();
    for (let index = 0; index < 9; index++) void (await iterator.next()).value!.ack();
    void iterator.next();
    await stage.broker.pass(10);
    expect(stage.settled).toEqual(['ack 0.1 [1, 10)']);
    expect(order).toEqual(['settle', 'receive']);
  });

  it('asks for the next one only when the only one is settled', async () => {
    const queue = await stage.queue({ credit: 1 });
    const taking = new Taking(queue);
    await taking.next();
    await stage.lease({ values: ['a'] });
    const job = await taking.next();
    expect([job?.record.text(), asked()]).toEqual(['a', []]);
    await job!.ack();
    await stage.broker.pass(10);
    expect(asked()).toEqual([1]);
  });

  it('asks for nothing more while what waits fills its bytes', async () => {
    const queue = await stage.queue({ credit: 10, bufferBytes: 50 });
    const taking = new Taking(queue);
    await taking.next();
    await stage.lease({ values: ['a', 'b'] });
    void (await taking.next())!.ack();
    await stage.broker.pass(100);
    expect(asked()).toEqual([]);
  });

  it('gives back what waits too long, and takes less at a time then', async () => {
    const queue = await stage.queue({ credit: 8 });
    const taking = new Taking(queue);
    await taking.next();
    await stage.lease({ values: numbers(4), leaseMs: 3000 });
    const first = await taking.next();
    await stage.broker.pass(1900);
    expect(stage.settled).toEqual([]);
    await stage.broker.pass(200);
    expect(stage.settled).toEqual(['release 0.1 [1, 4)']);
    stage.receives.shift()!.answer({ case: 'group', value: { body: { case: 'receive', value: {} } } });
    await first!.ack();
    await turns(4);
    expect(asked()).toEqual([1]);
  });

  it('takes more at a time again when it keeps up', async () => {
    const queue = await stage.queue({ credit: 8 });
    const taking = new Taking(queue);
    await taking.next();
    await stage.lease({ values: numbers(8), leaseMs: 3000 });
    void (await taking.next())!.ack();
    await stage.broker.pass(2100);
    expect(asked()).toEqual([1]);
    for (const credit of [2, 4, 8]) {
      const next = taking.next();
      await stage.lease({ grant: credit, values: ['a'] });
      void ((await next) ?? (await taking.next()))!.ack();
      await taking.next();
      await stage.broker.pass(10);
      // More than the credit before it would allow.
      expect(asked().reduce((sum, records) => sum + records, 0)).toBeGreaterThan(credit / 2);
    }
  });

  it('hands out nothing that waited too long while nobody looked', async () => {
    const queue = await stage.queue();
    const taking = new Taking(queue);
    await taking.next();
    await stage.lease({ values: numbers(3), leaseMs: 3000 });
    expect((await taking.next())?.record.text()).toBe('0');
    stage.broker.clock.stall(2500);
    expect(await taking.next()).toBeUndefined();
    expect(stage.settled).toEqual(['release 0.1 [1, 3)']);
  });

  it('gives back at a break what waits, and what still comes', async () => {
    const queue = await stage.queue({ credit: 4 });
    const taking = new Taking(queue);
    await taking.next();
    await stage.lease({ values: numbers(2) });
    const job = await taking.next();
    stage.hold = true; // the stream stays open while something is not answered
    await taking.break();
    await stage.lease({ grant: 2, base: 2, values: numbers(2) });
    stage.release();
    await turns(6);
    expect(stage.settled).toEqual(['release 0.1 [1, 2)', 'release 0.2 [2, 4)']);
    await job!.ack();
    expect(asked()).toEqual([]);
  });

  it('gives up with its stream what waits at the broker, and can begin again', async () => {
    const queue = await stage.queue({ credit: 4 });
    const taking = new Taking(queue);
    await taking.next();
    await taking.break();
    await turns(4);
    expect(stage.broker.endedStreams).toHaveLength(1);
    stage.receives.length = 0;
    const again = new Taking(queue);
    await again.next();
    await stage.lease({ values: ['a'] });
    expect((await again.next())?.record.text()).toBe('a');
  });

  it('throws what the broker refuses it with', async () => {
    const queue = await stage.queue();
    const taking = new Taking(queue);
    await taking.next();
    await stage.refuseReceive('FORBIDDEN');
    await expect(taking.next()).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  it('goes on after a lost connection; what is leased stays leased', async () => {
    const queue = await stage.queue({ credit: 4 });
    const taking = new Taking(queue);
    await taking.next();
    await stage.lease({ values: numbers(2) });
    const first = await taking.next();
    stage.broker.last.cut();
    stage.receives.length = 0;
    await stage.broker.pass(1000);
    expect(asked()).toEqual([2]);
    await first!.ack();
    expect((await taking.next())?.record.text()).toBe('1');
  });

  it('tells of records that retention took', async () => {
    const queue = await stage.queue();
    const gaps: unknown[] = [];
    queue.on('gap', (gap) => gaps.push(gap));
    await new Taking(queue).next();
    const value = { gaps: [{ partition: 1, from: 3n, to: 9n }] };
    stage.receives[0]!.answer({ case: 'group', value: { body: { case: 'receive', value } } });
    await turns(4);
    expect(gaps).toEqual([{ topic: 'q', partition: 1, from: 3, to: 9, reason: 'retention' }]);
  });
});

describe('closing a queue', () => {
  it('gives back all that is not settled, and what still comes', async () => {
    const queue = await stage.queue({ credit: 4 });
    const taking = new Taking(queue);
    await taking.next();
    await stage.lease({ values: numbers(2) });
    const job = await taking.next();
    const closed = queue.close();
    await turns(6);
    const released = ['release 0.1 [0, 2)'];
    expect(stage.settled).toEqual(released);
    await stage.lease({ grant: 2, base: 2, values: numbers(2) });
    await closed;
    expect(stage.settled).toEqual([...released, 'release 0.2 [2, 4)']);
    expect(await taking.next()).toBeUndefined();
    await expect(job!.ack()).rejects.toMatchObject({ code: 'LEASE_EXPIRED' });
    await expect(queue.receive()).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('gives up a receive that waits', async () => {
    const queue = await stage.queue();
    const waiting = expect(queue.receive({ waitMs: 30_000 })).rejects.toMatchObject({ code: 'CANCELLED' });
    await turns(4);
    const closed = queue.close();
    await turns(4);
    await stage.refuseReceive('CANCELLED');
    await waiting;
    await closed;
    expect(asked()).toEqual([]);
  });

  it('lets handlers finish', async () => {
    const queue = await stage.queue();
    let finish = (): void => undefined;
    const over = queue.process(() => new Promise<void>((resolve) => (finish = resolve)));
    await stage.lease({ values: ['a'] });
    let closed = false;
    const closing = queue.close().then(() => (closed = true));
    await stage.broker.pass(2000);
    expect(closed).toBe(false);
    finish();
    await over;
    await stage.broker.pass(2000);
    await closing;
    expect(stage.settled.at(-1)).toBe('ack 0.1 [0, 1)');
  });

  it('does not wait longer for answers than the client that closes', async () => {
    const queue = await stage.queue();
    const [job] = await received(queue, { values: ['a'] });
    stage.hold = true;
    void job!.ack();
    const closed = queue.close();
    queue.abort();
    await closed;
  });
});

describe('options of a queue', () => {
  it.each([{ credit: 0 }, { credit: 1.5 }, { bufferBytes: 0 }, { leaseMs: 9 }, { leaseMs: 1e9 }])(
    'cannot be %j',
    async (options) => {
      const client = await stage.broker.client();
      expect(() => client.queue('q', options)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    },
  );
});

import { create } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import type { Timestamp } from '@bufbuild/protobuf/wkt';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ConsumeAnswer } from '../../../src/gateway/grpc/consume.ts';
import { consume } from '../../../src/gateway/grpc/consume.ts';
import { GrpcCounters } from '../../../src/gateway/grpc/counters.ts';
import { LeaseLedger } from '../../../src/gateway/grpc/lease-ledger.ts';
import { LeaseSettler } from '../../../src/gateway/grpc/lease-settler.ts';
import type { MessageContext } from '../../../src/gateway/grpc/message-context.ts';
import { RecordPublisher } from '../../../src/gateway/grpc/record-publisher.ts';
import { settle } from '../../../src/gateway/grpc/settle.ts';
import { SettlementKind } from '../../../src/gen/sluice/client/v1/groups_pb.ts';
import { ConsumeRequestSchema } from '../../../src/gen/sluice/messages/v1/messages_pb.ts';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { SluiceError } from '../../../src/kernel/errors.ts';
import { ANONYMOUS } from '../../../src/security/principal.ts';
import { decodeLeaseToken } from '../../../src/wire/lease-token.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { turns } from '../../support/turns.ts';
import { FakeQueue, received } from './fake-queue.ts';

const caller = { principal: ANONYMOUS, release: () => undefined };

describe('consume', () => {
  let clock: FakeClock;
  let broker: FakeQueue;
  let context: MessageContext;
  let answers: ConsumeAnswer[];
  let over: AbortController;
  let timeoutMs: number;
  /** Responses that the client takes before it is gone. */
  let takes: number;
  let over$: Promise<string>;
  let isOver: boolean;

  beforeEach(() => {
    clock = new FakeClock();
    broker = new FakeQueue();
    context = {
      ...{ broker, clock, counters: new GrpcCounters(), ledger: new LeaseLedger() },
      limits: { maxKeyBytes: 1024, maxInflatedBytes: 1024 * 1024 },
      publisher: new RecordPublisher(broker, clock),
      settler: new LeaseSettler(broker),
    };
    answers = [];
    over = new AbortController();
    timeoutMs = Infinity;
    takes = Infinity;
    isOver = false;
  });

  /** Begins a call, and lets it do what it can. */
  async function begin(request: MessageInitShape<typeof ConsumeRequestSchema>): Promise<void> {
    const sink = {
      write: (answer: ConsumeAnswer): Promise<boolean> => {
        if (takes <= 0) return Promise.resolve(false);
        takes -= 1;
        answers.push(answer);
        return Promise.resolve(true);
      },
    };
    const full = create(ConsumeRequestSchema, { topic: 't', ...request });
    over$ = consume(context, caller, full, sink, { signal: over.signal, timeoutMs }).then(
      () => 'well',
      (error: unknown) => (error as SluiceError).code,
    );
    void over$.then(() => (isOver = true));
    await turns();
  }

  /** Answers one receive after the other with these; after the last nothing comes until the question's time is over. */
  function queue(...batches: ReturnType<typeof received>[]): void {
    broker.onReceive = ({ maxWaitMs }, { signal }) => {
      const next = batches.shift();
      if (next) return Promise.resolve(next);
      return new Promise((resolve, reject) => {
        clock.setTimer(maxWaitMs!, () => resolve(received([])));
        signal?.addEventListener('abort', () => reject(new SluiceError('CANCELLED', 'gone')));
      });
    };
  }

  const bodies = (): string[] =>
    answers.flatMap(({ messages = [] }) => messages.map(({ body }) => Buffer.from(body!).toString()));

  it('fills in everything that a message has', async () => {
    queue(received(['a', 'b'], { firstOffset: 40, attempt: 3, leaseMs: 5_000, partition: 2 }));
    await begin({ maxMessages: 2 });
    const [{ messages: [, message] = [] }] = answers as [ConsumeAnswer];
    expect(message).toMatchObject({
      ...{ topic: 't', partition: 2, offset: 41n, attempt: 3, correlationId: 'id of b' },
      headers: [{ key: 'correlation-id' }, { key: 'empty' }],
    });
    expect(Buffer.from(message!.key!).toString()).toBe('key of b');
    expect(decodeLeaseToken(message!.leaseToken!)).toEqual({ partition: 2, grant: 7, offset: 41 });
    expect(timestampMs(message!.createdAt as Timestamp)).toBe(1_700_000_000_123);
    expect(timestampMs(message!.leaseExpiresAt as Timestamp)).toBe(clock.now() + 5_000);
  });

  it('leaves out records of a batch that are not leased', async () => {
    const answer = received(['a', 'b', 'c', 'd']);
    answer.batches[0]!.leases = [
      { $typeName: 'sluice.client.v1.LeasedRange', first: 3n, end: 4n, attempt: 2 },
      { $typeName: 'sluice.client.v1.LeasedRange', first: 1n, end: 2n, attempt: 1 },
    ];
    queue(answer);
    await begin({ maxMessages: 2 });
    expect(bodies()).toEqual(['b', 'd']);
  });

  it('ends when as many messages have come as were asked for, and asks for no more than that', async () => {
    queue(received(['a', 'b']), received(['c'], { firstOffset: 2 }));
    await begin({ maxMessages: 3 });
    expect(bodies()).toEqual(['a', 'b', 'c']);
    expect(broker.receives.map(({ maxRecords }) => maxRecords)).toEqual([3, 1]);
    expect(await over$).toBe('well');
  });

  it('asks the default group, with lease and consumer as the request says', async () => {
    queue(received(['a']));
    await begin({ maxMessages: 1, leaseMs: 77, consumerId: 'me' });
    expect(broker.receives).toMatchObject([{ topic: 't', group: 'default', leaseMs: 77, consumerId: 'me' }]);
  });

  it('that does not wait takes what there is and ends', async () => {
    queue(received(['a']), received([]));
    await begin({ maxWaitMs: 0 });
    expect(bodies()).toEqual(['a']);
    expect(broker.receives.map(({ maxWaitMs }) => maxWaitMs)).toEqual([0, 0]);
    expect(await over$).toBe('well');
  });

  it('ends when nothing has come for as long as it waits, counted from the last message', async () => {
    queue(received(['a']));
    await begin({ maxWaitMs: 30_000 });
    expect(broker.receives.at(-1)!.maxWaitMs).toBe(20_000);
    clock.advance(20_000);
    await turns();
    expect(broker.receives.at(-1)!.maxWaitMs).toBe(10_000);
    clock.advance(9_999);
    await turns();
    expect(isOver).toBe(false);
    clock.advance(1);
    expect(await over$).toBe('well');
  });

  it('ends well a little before its deadline', async () => {
    queue();
    timeoutMs = 1_000;
    await begin({});
    clock.advance(900);
    expect(await over$).toBe('well');
  });

  it('goes on without end when nothing is said', async () => {
    queue();
    await begin({});
    for (let minute = 0; minute < 60; minute++) {
      clock.advance(20_000);
      await turns(3);
    }
    expect(isOver).toBe(false);
    over.abort();
    expect(await over$).toBe('well');
  });

  it('tells of messages that retention has taken', async () => {
    const answer = received(['a']);
    answer.gaps = [{ $typeName: 'sluice.client.v1.QueueGap', partition: 0, from: 3n, to: 9n }];
    queue(answer);
    await begin({ maxMessages: 1 });
    expect(answers[0]!.gaps).toEqual([{ partition: 0, from: 3n, to: 9n }]);
  });

  it('puts messages into responses of bounded size', async () => {
    queue(received(Array.from({ length: 10 }, () => 'x'.repeat(7_000))));
    await begin({ maxMessages: 10 });
    expect(answers.map(({ messages = [] }) => messages.length)).toEqual([3, 3, 3, 1]);
  });

  it('gives back what a client that has gone did not get', async () => {
    takes = 1;
    queue(
      received(
        Array.from({ length: 4 }, () => 'x'.repeat(40_000)),
        { firstOffset: 8 },
      ),
    );
    await begin({});
    expect(await over$).toBe('well');
    expect(broker.settled.map(({ kind, first }) => [kind, first])).toEqual([
      [SettlementKind.RELEASE, 9n],
      [SettlementKind.RELEASE, 10n],
      [SettlementKind.RELEASE, 11n],
    ]);
  });

  it('gives back what is granted to a client that has gone meanwhile', async () => {
    const { promise, resolve } = Promise.withResolvers<ReturnType<typeof received>>();
    broker.onReceive = () => promise;
    await begin({});
    over.abort();
    resolve(received(['a']));
    expect(await over$).toBe('well');
    expect(broker.settled.map(({ kind }) => kind)).toEqual([SettlementKind.RELEASE]);
    expect(answers).toEqual([]);
  });

  it('stops asking when the client goes', async () => {
    queue();
    await begin({});
    over.abort();
    expect(await over$).toBe('well');
    expect(broker.receives).toHaveLength(1);
  });

  it('fails as the coordinator does', async () => {
    broker.onReceive = () => Promise.reject(new SluiceError('FORBIDDEN', 'no'));
    await begin({});
    expect(await over$).toBe('FORBIDDEN');
  });

  it('takes apart only as much at once as may be held', async () => {
    const large = 'x'.repeat(190_000);
    const parts = [0, 1, 2, 3].map((at) => received([`${at}${large}`], { firstOffset: at }).batches[0]!);
    takes = 1;
    queue({ $typeName: 'sluice.client.v1.ReceiveResponse', batches: parts, gaps: [], waitedMs: 0 });
    await begin({});
    expect(bodies().map((body) => body.slice(0, 2))).toEqual(['0x']);
    expect(broker.settled.map(({ first, kind }) => [first, kind])).toEqual(
      [1n, 2n, 3n].map((first) => [first, SettlementKind.RELEASE]),
    );
  });

  it('makes a dead letter of what cannot be read, and goes on with the next', async () => {
    const [bad, good] = [received(['a', 'b']), received(['c'], { firstOffset: 2 })];
    const batch = Buffer.from(bad.batches[0]!.batch);
    bad.batches[0]!.batch = batch.subarray(0, batch.length - 1);
    queue({ ...bad, batches: [...bad.batches, ...good.batches] });
    await begin({});
    expect([bodies(), isOver]).toEqual([['c'], false]);
    expect(broker.settled).toMatchObject([
      {
        ...{ kind: SettlementKind.REJECT, first: 0n, end: 2n },
        reason: expect.stringContaining('CORRUPT_BATCH') as string,
      },
    ]);
  });

  describe('with credit', () => {
    it('has no more leases than that, and goes on when one is settled', async () => {
      queue(received(['a', 'b']), received(['c'], { firstOffset: 2 }));
      await begin({ credit: 2 });
      expect(bodies()).toEqual(['a', 'b']);
      const [{ messages: [first] = [] }] = answers as [ConsumeAnswer];
      const request = { topic: 't', group: '', leaseTokens: [first!.leaseToken!] };
      await settle(context, caller, request, { kind: SettlementKind.ACK });
      await turns();
      expect(broker.receives.map(({ maxRecords }) => maxRecords)).toEqual([2, 1]);
      expect(bodies()).toEqual(['a', 'b', 'c']);
    });

    it('goes on when leases have run out', async () => {
      queue(received(['a', 'b'], { leaseMs: 1_000 }), received(['a', 'b'], { attempt: 2 }));
      await begin({ credit: 2 });
      clock.advance(999);
      await turns();
      expect(bodies()).toEqual(['a', 'b']);
      clock.advance(1);
      await turns();
      expect(bodies()).toEqual(['a', 'b', 'a', 'b']);
    });

    it('waits for it no longer than for messages', async () => {
      queue(received(['a'], { leaseMs: 60_000 }));
      await begin({ credit: 1, maxWaitMs: 5_000 });
      clock.advance(5_000);
      expect(await over$).toBe('well');
    });

    it('does not count leases that were extended as settled', async () => {
      queue(received(['a'], { leaseMs: 60_000 }), received(['b'], { firstOffset: 1 }));
      await begin({ credit: 1 });
      const [{ messages: [first] = [] }] = answers as [ConsumeAnswer];
      const request = { topic: 't', group: 'default', leaseTokens: [first!.leaseToken!] };
      await settle(context, caller, request, { kind: SettlementKind.EXTEND, delayMs: 1_000 });
      await turns();
      expect(bodies()).toEqual(['a']);
    });

    it('keeps nothing of a call that is over', async () => {
      queue(received(['a', 'b']));
      await begin({ maxMessages: 2 });
      expect(await over$).toBe('well');
      expect(context.ledger.size).toBe(0);
    });

    it('of too many is refused', async () => {
      await begin({ credit: 10_001 });
      expect(await over$).toBe('INVALID_ARGUMENT');
    });
  });
});

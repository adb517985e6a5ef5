import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { SluiceError } from '../../src/kernel/errors.ts';
import { Leadership } from '../../src/partition/leadership.ts';
import type { LeadershipHost, LeadershipStart } from '../../src/partition/leadership.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { turns } from '../support/turns.ts';
import { CasCluster } from './cas-cluster.ts';

const MAX_LAG_MS = 10_000;

class Host implements LeadershipHost {
  readonly topicId = 't1';
  readonly partition = 0;
  readonly clock = new FakeClock();
  readonly log = { durableEnd: 0, logEnd: 0, logStart: 0 };
  highWatermark = 0;
  insyncChanges = 0;
  ended: SluiceError | undefined;

  onHighWatermark(offset: number): void {
    this.highWatermark = offset;
  }

  onInsync(): void {
    this.insyncChanges++;
  }

  onEnd(reason: SluiceError): void {
    this.ended = reason;
  }
}

let host: Host;
let cluster: CasCluster;
let leadership: Leadership;

function begin(isr: readonly string[], options: Partial<LeadershipStart> = {}): void {
  const replicas = options.replicas ?? ['a', 'b', 'c'];
  cluster = new CasCluster({ replicas, leader: 'a', leaderEpoch: 5, isr });
  leadership = new Leadership(
    {
      ...{ epoch: 5, selfId: 'a', replicas, isr, revision: 1, minInsync: 2, maxLagMs: MAX_LAG_MS },
      ...{ cluster, reserve: undefined, onStepDown: () => undefined },
      ...options,
    },
    host,
  );
  leadership.advance();
}

/** The leader's own log grows to `end`. */
function grow(end: number): void {
  host.log.logEnd = end;
  host.log.durableEnd = end;
  leadership.advance();
}

beforeEach(() => {
  host = new Host();
});

describe('the high watermark', () => {
  it('is what is durable when nobody else is in sync', () => {
    begin(['a']);
    grow(7);
    expect(host.highWatermark).toBe(7);
  });

  it('is the smallest of all that are in sync, each as it said last', () => {
    begin(['a', 'b', 'c']);
    grow(10);
    leadership.report('b', 8, 0);
    expect(host.highWatermark).toBe(0);
    leadership.report('c', 6, 0);
    expect(host.highWatermark).toBe(6);
  });

  it('does not wait for a replica that is not in sync', () => {
    begin(['a', 'b']);
    grow(10);
    leadership.report('b', 10, 0);
    expect(host.highWatermark).toBe(10);
  });

  it('waits for what this node has made durable itself', () => {
    begin(['a', 'b']);
    host.log.logEnd = 10;
    host.log.durableEnd = 4;
    leadership.advance();
    leadership.report('b', 9, 0);
    expect(host.highWatermark).toBe(4);
  });

  it('waits for everybody in sync to say something in this epoch', () => {
    host.log.durableEnd = host.log.logEnd = 10;
    host.highWatermark = 3;
    begin(['a', 'b']);
    expect(host.highWatermark).toBe(3);
    leadership.report('b', 10, 0);
    expect(host.highWatermark).toBe(10);
  });

  it('does not fall when a replica says less than before, and waits for it', () => {
    begin(['a', 'b']);
    grow(10);
    leadership.report('b', 10, 0);
    leadership.report('b', 2, 0);
    grow(20);
    expect(host.highWatermark).toBe(10);
    leadership.report('b', 20, 0);
    expect(host.highWatermark).toBe(20);
  });

  it('takes no notice of nodes that are no replicas', () => {
    begin(['a', 'b']);
    grow(10);
    leadership.report('x', 10, 0);
    expect([host.highWatermark, cluster.asked]).toEqual([0, []]);
  });
});

describe('a follower that does not keep up', () => {
  it('is proposed out after the longest lag, and the watermark moves once that is stored', async () => {
    begin(['a', 'b', 'c']);
    grow(10);
    leadership.report('b', 10, 0);
    host.clock.advance(MAX_LAG_MS - 1);
    expect(cluster.asked).toEqual([]);
    host.clock.advance(1);
    expect(cluster.asked[0]?.state.isr).toEqual(['a', 'b']);
    expect(host.highWatermark).toBe(0);
    cluster.answer();
    await turns(1);
    expect([host.highWatermark, leadership.isr]).toEqual([10, ['a', 'b']]);
  });

  it('has its time counted from when it last had everything', () => {
    begin(['a', 'b'], { minInsync: 1 });
    grow(10);
    host.clock.advance(9000);
    leadership.report('b', 10, 0);
    host.clock.advance(60_000);
    grow(20);
    host.clock.advance(MAX_LAG_MS - 1);
    expect(cluster.asked).toEqual([]);
    host.clock.advance(1);
    expect(cluster.asked[0]?.state.isr).toEqual(['a']);
  });

  it('stays while it keeps pace, although it never sees the end', () => {
    begin(['a', 'b']);
    for (let end = 1; end < 40; end++) {
      grow(end);
      host.clock.advance(1000);
      leadership.report('b', end - 1, 0);
    }
    expect(cluster.asked).toEqual([]);
  });

  it('goes when it comes forward, but slower than the leader', () => {
    begin(['a', 'b'], { minInsync: 1 });
    for (let end = 10; end < 400; end += 10) {
      grow(end);
      host.clock.advance(1000);
      leadership.report('b', end / 2, 0);
    }
    expect(cluster.asked[0]?.state.isr).toEqual(['a']);
  });

  it('goes when it never said anything, even where there is nothing to fetch', () => {
    begin(['a', 'b'], { minInsync: 1 });
    host.clock.advance(MAX_LAG_MS);
    expect(cluster.asked[0]?.state.isr).toEqual(['a']);
  });

  it('costs no timer while nobody is behind', () => {
    begin(['a', 'b', 'c']);
    leadership.report('b', 0, 0);
    leadership.report('c', 0, 0);
    host.clock.advance(MAX_LAG_MS);
    expect([host.clock.pendingTimers, cluster.asked]).toEqual([0, []]);
  });
});

describe('a follower that has come far enough', () => {
  it('is proposed in, and holds the watermark back from then on', async () => {
    begin(['a', 'b']);
    grow(10);
    leadership.report('b', 10, 0);
    leadership.report('c', 10, 0);
    expect(cluster.asked[0]?.state.isr).toEqual(['a', 'b', 'c']);
    grow(20);
    leadership.report('b', 20, 0);
    expect(host.highWatermark).toBe(10);
    cluster.answer();
    await turns(1);
    leadership.report('c', 15, 0);
    expect([host.highWatermark, leadership.isr]).toEqual([15, ['a', 'b', 'c']]);
  });

  it('has to have the high watermark', () => {
    begin(['a', 'b']);
    grow(10);
    leadership.report('b', 10, 0);
    leadership.report('c', 9, 0);
    expect(cluster.asked).toEqual([]);
  });

  it('has to have all that was there when the epoch began, wherever the watermark is', () => {
    host.log.durableEnd = host.log.logEnd = 10;
    begin(['a', 'b']);
    leadership.report('c', 9, 0);
    expect(cluster.asked).toEqual([]);
    leadership.report('c', 10, 0);
    expect(cluster.asked[0]?.state.isr).toEqual(['a', 'b', 'c']);
  });

  it('must not be able to bring back what was deleted, before the epoch began or since then', () => {
    host.log.logStart = 3;
    begin(['a', 'b']);
    grow(10);
    leadership.report('b', 10, 3);
    leadership.report('c', 10, 2);
    expect(cluster.asked).toEqual([]);
    leadership.deletedBelow(6);
    leadership.report('c', 10, 5);
    expect(cluster.asked).toEqual([]);
    leadership.report('c', 10, 6);
    expect(cluster.asked[0]?.state.isr).toEqual(['a', 'b', 'c']);
  });

  it('is not taken in on what it said before somebody else took it out', async () => {
    begin(['a', 'b', 'c']);
    leadership.report('b', 0, 0);
    leadership.report('c', 0, 0);
    leadership.stateChanged(cluster.put({ isr: ['a', 'b'] }));
    await turns(1);
    expect(cluster.asked).toEqual([]);
    leadership.report('c', 0, 0);
    expect(cluster.asked[0]?.state.isr).toEqual(['a', 'b', 'c']);
  });
});

describe('what was deleted', () => {
  it('is so for good once that is so on all that may be in sync', async () => {
    begin(['a', 'b']);
    grow(10);
    leadership.report('b', 10, 0);
    leadership.deletedBelow(5);
    expect(leadership.isDeletedBelow(5)).toBe(false);
    leadership.report('c', 10, 5);
    // It is proposed in: from then on it counts.
    expect([leadership.report('b', 10, 5), leadership.isDeletedBelow(5)]).toEqual([true, true]);
    expect([leadership.report('c', 10, 4), leadership.isDeletedBelow(5)]).toEqual([false, false]);
    cluster.answer();
    await turns(1);
    expect([leadership.isDeletedBelow(4), leadership.isDeletedBelow(5)]).toEqual([true, false]);
  });

  it('takes a follower out that has not deleted it for the longest lag, although nothing is appended', () => {
    begin(['a', 'b', 'c']);
    for (const nodeId of ['b', 'c']) leadership.report(nodeId, 10, 0);
    host.clock.advance(60_000);
    leadership.deletedBelow(5);
    leadership.report('b', 10, 5);
    host.clock.advance(MAX_LAG_MS - 1);
    expect([leadership.followers.map(({ ms }) => ms), cluster.asked]).toEqual([[0, MAX_LAG_MS - 1], []]);
    host.clock.advance(1);
    expect(cluster.asked[0]?.state.isr).toEqual(['a', 'b']);
  });
});

describe('proposals', () => {
  it('are made one at a time, with the revision that is known', async () => {
    begin(['a']);
    grow(5);
    leadership.report('b', 5, 0);
    leadership.report('c', 5, 0);
    expect(cluster.asked).toHaveLength(1);
    cluster.answer();
    await turns(1);
    leadership.report('c', 5, 0);
    expect(cluster.asked.map(({ expectedRevision, state }) => [expectedRevision, state.isr])).toEqual([
      [2, ['a', 'b', 'c']],
    ]);
  });

  it('take over what somebody else has stored, and are thought over again', async () => {
    begin(['a', 'b', 'c']);
    grow(5);
    leadership.report('b', 5, 0);
    host.clock.advance(MAX_LAG_MS);
    cluster.put({ replicas: ['a', 'b', 'c', 'd'] });
    cluster.answer();
    await turns(1);
    expect(leadership.replicas).toEqual(['a', 'b', 'c', 'd']);
    expect(cluster.asked[0]).toMatchObject({ expectedRevision: 2, state: { isr: ['a', 'b'] } });
  });

  it('without an answer may have been stored: the watermark waits for all of them until that is known', async () => {
    begin(['a']);
    grow(5);
    leadership.report('b', 5, 0);
    cluster.answer('done but lost');
    await turns(1);
    grow(9);
    expect(host.highWatermark).toBe(5);
    host.clock.advance(1000);
    cluster.answer();
    await turns(1);
    expect(leadership.isr).toEqual(['a', 'b']);
    leadership.report('b', 9, 0);
    expect(host.highWatermark).toBe(9);
  });

  it('without an answer that were not stored are made again, even when nothing shall change any more', async () => {
    begin(['a', 'b'], { minInsync: 1 });
    grow(5);
    host.clock.advance(MAX_LAG_MS);
    cluster.answer('lost');
    await turns(1);
    leadership.report('b', 5, 0);
    host.clock.advance(1000);
    expect(cluster.asked[0]).toMatchObject({ expectedRevision: 1, state: { isr: ['a', 'b'] } });
    cluster.answer();
    await turns(1);
    host.clock.advance(1000);
    expect([leadership.isr, cluster.asked, host.clock.pendingTimers]).toEqual([['a', 'b'], [], 0]);
  });

  it('are overtaken by what is seen stored at a later revision', async () => {
    begin(['a', 'b'], { minInsync: 1 });
    grow(5);
    host.clock.advance(MAX_LAG_MS);
    leadership.stateChanged(cluster.put({ isr: ['a'] }));
    expect(host.highWatermark).toBe(5);
    cluster.answer();
    await turns(1);
    expect([leadership.isr, cluster.asked]).toEqual([['a'], []]);
  });

  it('are not shaken by older states that are heard of late', () => {
    begin(['a', 'b']);
    const old = { ...cluster.entry, revision: 0, state: { ...cluster.entry.state, isr: ['a'] } };
    leadership.stateChanged(old);
    expect(leadership.isr).toEqual(['a', 'b']);
  });
});

describe('what may be acknowledged', () => {
  it('needs enough replicas in sync for all, and not for one', () => {
    begin(['a']);
    expect([leadership.refusal(1), leadership.refusal(2)?.code]).toEqual([undefined, 'NOT_ENOUGH_REPLICAS']);
  });

  it('needs no more replicas than there are', () => {
    begin(['a'], { replicas: ['a'] });
    expect(leadership.refusal(2)).toBeUndefined();
  });

  it('needs the lease', () => {
    begin(['a', 'b']);
    cluster.leaseHeld = false;
    expect([leadership.refusal(1)?.code, leadership.refusal(2)?.code]).toEqual(['NOT_LEADER', 'NOT_LEADER']);
  });

  it('is thought over when replicas no longer keep up, and when another number of them is asked for', async () => {
    begin(['a', 'b'], { replicas: ['a', 'b'] });
    grow(5);
    host.clock.advance(MAX_LAG_MS);
    await turns(1);
    expect([leadership.refusal(2)?.code, host.insyncChanges]).toEqual(['NOT_ENOUGH_REPLICAS', 1]);
    leadership.configure(1);
    expect([leadership.refusal(2), host.insyncChanges]).toEqual([undefined, 2]);
  });

  it('is thought over when a replica keeps up again', () => {
    begin(['a', 'b']);
    grow(5);
    host.clock.advance(MAX_LAG_MS);
    leadership.report('b', 5, 0);
    expect([leadership.refusal(2), host.insyncChanges]).toEqual([undefined, 2]);
  });
});

describe('in-sync replicas are never fewer than minInsync', () => {
  it('so that what was acknowledged is with as many: who is behind stays, and holds the watermark back', () => {
    begin(['a', 'b']);
    grow(5);
    host.clock.advance(MAX_LAG_MS);
    expect([cluster.asked, leadership.isr, host.highWatermark]).toEqual([[], ['a', 'b'], 0]);
    expect(host.clock.pendingTimers).toBe(0);
  });

  it('of several that are behind the one that has most stays', () => {
    begin(['a', 'b', 'c']);
    grow(5);
    leadership.report('b', 3, 0);
    leadership.report('c', 4, 0);
    host.clock.advance(MAX_LAG_MS);
    expect(cluster.asked[0]?.state.isr).toEqual(['a', 'c']);
  });

  it('and another may come in its place', async () => {
    begin(['a', 'b']);
    grow(5);
    host.clock.advance(MAX_LAG_MS);
    leadership.report('c', 5, 0);
    cluster.answer();
    await turns(1);
    expect([leadership.isr, host.highWatermark]).toEqual([['a', 'c'], 5]);
  });

  it('unless they are fewer already', () => {
    begin(['a', 'b'], { minInsync: 3 });
    grow(5);
    host.clock.advance(MAX_LAG_MS);
    expect(cluster.asked).toEqual([]);
  });

  it('and leave when fewer are asked for', () => {
    begin(['a', 'b']);
    grow(5);
    host.clock.advance(MAX_LAG_MS);
    leadership.configure(1);
    expect(cluster.asked[0]?.state.isr).toEqual(['a']);
  });
});

describe('the end', () => {
  it.each([
    ['another leader is stored', { leader: 'b', leaderEpoch: 6 }],
    ['no leader is stored', { leader: null }],
    ['a later epoch is stored', { leaderEpoch: 6 }],
  ])('comes when %s', (_what, change) => {
    begin(['a', 'b']);
    leadership.stateChanged(cluster.put(change));
    expect([host.ended?.code, leadership.refusal(1)?.code]).toEqual(['NOT_LEADER', 'NOT_LEADER']);
  });

  it('comes when a proposal finds another leader', async () => {
    begin(['a', 'b'], { minInsync: 1 });
    host.clock.advance(MAX_LAG_MS);
    cluster.put({ leader: 'b', leaderEpoch: 6 });
    cluster.answer();
    await turns(1);
    expect(host.ended?.code).toBe('NOT_LEADER');
  });

  it('comes when the log has lost what others may have', () => {
    begin(['a'], { minInsync: 1 });
    grow(10);
    leadership.lost(4);
    expect(host.ended?.code).toBe('STORAGE_FAILED');
  });

  it('does not come when there are no others: it goes on with what is left', () => {
    begin(['a'], { replicas: ['a'] });
    grow(10);
    host.log.durableEnd = 4;
    leadership.lost(4);
    grow(6);
    expect([host.ended, host.highWatermark]).toEqual([undefined, 6]);
  });

  it('leaves nothing behind: no timer, no proposal, no news', async () => {
    begin(['a', 'b', 'c']);
    grow(5);
    leadership.report('b', 5, 0);
    host.clock.advance(MAX_LAG_MS);
    leadership.end();
    cluster.answer();
    await turns(1);
    grow(10);
    leadership.report('b', 10, 0);
    expect([host.highWatermark, host.clock.pendingTimers, host.ended]).toEqual([0, 0, undefined]);
  });
});

type Step =
  | { readonly kind: 'grow'; readonly by: number }
  | { readonly kind: 'write' }
  | { readonly kind: 'report'; readonly nodeId: string; readonly back: number }
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'answer'; readonly outcome: 'answered' | 'done but lost' | 'lost' }
  | { readonly kind: 'put'; readonly isr: readonly string[] }
  | { readonly kind: 'see' };

const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('grow' as const), by: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ kind: fc.constant('write' as const) }),
  fc.record({
    kind: fc.constant('report' as const),
    nodeId: fc.constantFrom('b', 'c'),
    back: fc.integer({ min: 0, max: 8 }),
  }),
  fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(100, 600, 6000, 10_000) }),
  fc.record({
    kind: fc.constant('answer' as const),
    outcome: fc.constantFrom('answered' as const, 'done but lost' as const, 'lost' as const),
  }),
  fc.record({ kind: fc.constant('put' as const), isr: fc.constantFrom(['a'], ['a', 'b'], ['a', 'c']) }),
  fc.record({ kind: fc.constant('see' as const) }),
);

const starts = [['a'], ['a', 'b'], ['a', 'b', 'c']];

describe('whatever happens', () => {
  it('the watermark never falls, and what is below it is with all whom the stored state calls in sync', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(steps, { maxLength: 60 }),
        fc.constantFrom(...starts),
        async (script, isr) => {
          host = new Host();
          begin(isr);
          const reported = new Map([
            ['b', -1],
            ['c', -1],
          ]);
          let before = 0;
          for (const step of script) {
            const risen = host.highWatermark;
            await take(step, reported);
            expect(host.highWatermark).toBeGreaterThanOrEqual(before);
            before = host.highWatermark;
            if (host.highWatermark === risen) continue;
            for (const nodeId of cluster.entry.state.isr) {
              if (nodeId === 'a') expect(host.log.durableEnd).toBeGreaterThanOrEqual(before);
              else expect(reported.get(nodeId), `${nodeId} and ${before}`).toBeGreaterThanOrEqual(before);
            }
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

async function take(step: Step, reported: Map<string, number>): Promise<void> {
  switch (step.kind) {
    case 'grow':
      host.log.logEnd += step.by;
      break;
    case 'write':
      host.log.durableEnd = host.log.logEnd;
      leadership.advance();
      break;
    case 'report': {
      const durable = Math.max(0, host.log.durableEnd - step.back);
      reported.set(step.nodeId, durable);
      leadership.report(step.nodeId, durable, 0);
      break;
    }
    case 'pass':
      host.clock.advance(step.ms);
      break;
    case 'answer':
      if (cluster.asked.length > 0) cluster.answer(step.outcome);
      break;
    case 'put':
      // Only takes replicas out: taking in is the leader's alone.
      cluster.put({ isr: cluster.entry.state.isr.filter((id) => step.isr.includes(id)) });
      break;
    case 'see':
      leadership.stateChanged(cluster.entry);
  }
  await turns(1);
}

/** A node that dies and comes back under its clients, and clients whose address changes. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UdpRelay } from '../test/transport/quic/udp-relay.ts';
import type { Client, GapEvent, Producer, Subscription } from '../src/client/index.ts';
import { connect } from '../src/client/index.ts';
import { eventually } from './support/eventually.ts';
import { NodeProcess } from './support/node-process.ts';

/** Silence alone tells a client within seconds that its node is gone. */
const LIMITS = { idleTimeoutMs: 3000, keepAliveMs: 500 };
const AT_ONCE = 64;

interface Stored {
  readonly value: number;
  readonly offset: number;
}

let node: NodeProcess;
let resources: AsyncDisposableStack;

beforeEach(async () => {
  resources = new AsyncDisposableStack();
  node = resources.use(await NodeProcess.start());
});
afterEach(() => resources.disposeAsync());

/** Publishes 0, 1, 2, … without pause, `AT_ONCE` on their way, until it is stopped. */
class Publishing {
  readonly acknowledged: Stored[] = [];
  readonly #done: Promise<unknown>;
  #next = 0;
  #stopped = false;

  constructor(producer: Producer, topic: string) {
    const lane = async (): Promise<void> => {
      while (!this.#stopped) {
        const value = this.#next++;
        const { offset } = await producer.send({ topic, value: String(value) });
        this.acknowledged.push({ value, offset: offset! });
      }
    };
    this.#done = Promise.all(Array.from({ length: AT_ONCE }, lane));
  }

  /** Resolves when so many more are acknowledged. */
  more(records: number): Promise<void> {
    const wanted = this.acknowledged.length + records;
    return eventually(`${records} more records`, () => this.acknowledged.length >= wanted, 60_000);
  }

  async stop(): Promise<readonly Stored[]> {
    this.#stopped = true;
    await this.#done;
    return this.acknowledged.toSorted((a, b) => a.offset - b.offset);
  }
}

/** Reads a topic of one partition. */
class Reading {
  readonly read: Stored[] = [];
  readonly gaps: GapEvent[] = [];

  constructor(subscription: Subscription) {
    subscription.on('gap', (gap) => this.gaps.push(gap));
    void (async () => {
      for await (const record of subscription) {
        this.read.push({ value: Number(record.text()), offset: record.offset });
      }
    })();
  }

  through(offset: number): Promise<void> {
    return eventually(`offset ${offset}`, () => (this.read.at(-1)?.offset ?? -1) >= offset);
  }

  /** Ranges of offsets that did not come, from 0 on; a record out of order is one that ends before it begins. */
  get holes(): { from: number; to: number }[] {
    return this.read.flatMap(({ offset }, n) => {
      const from = n === 0 ? 0 : this.read[n - 1]!.offset + 1;
      return offset === from ? [] : [{ from, to: offset }];
    });
  }

  /** Those of `stored` that did not come although no gap says so. */
  missing(stored: readonly Stored[]): Stored[] {
    const readAt = new Map(this.read.map(({ offset, value }) => [offset, value]));
    const told = ({ offset }: Stored): boolean =>
      this.gaps.some(({ from, to }) => from <= offset && offset < to);
    return stored.filter((one) => readAt.get(one.offset) !== one.value && !told(one));
  }
}

async function open(url: string): Promise<Client> {
  const client = await connect(url, { ca: node.ca, limits: LIMITS, reconnect: { maxDelayMs: 250 } });
  return resources.adopt(client, () => client.close());
}

describe.each(['SIGKILL', 'SIGTERM'] as const)(
  'a node of memory topics, ended by %s and started again',
  (signal) => {
    it('stores what it acknowledges afterwards once and in order, and tells subscribers what it lost', async () => {
      const topic = 'restarted';
      const [publisher, subscriber] = [await open(node.url), await open(node.url)];
      await publisher.admin.createTopic({ name: topic });
      const following = new Reading(await subscriber.subscribe(topic));
      const paused = await subscriber.subscribe(topic);
      const late = new Reading(paused);
      const publishing = new Publishing(publisher.producer(), topic);
      await publishing.more(1000);
      paused.pause();
      await publishing.more(1000);
      const exitCode = await node.kill(signal);
      const lost = publishing.acknowledged.length;
      await node.restart();
      paused.resume();
      await publishing.more(2000);
      const stored = await publishing.stop();
      const last = stored.at(-1)!;
      await Promise.all([following.through(last.offset), late.through(last.offset)]);

      expect(exitCode).toBe(signal === 'SIGTERM' ? 0 : null);
      // No offset was given twice, and acknowledged records are stored in the order in which they were sent.
      expect(new Set(stored.map(({ offset }) => offset)).size).toBe(stored.length);
      expect(stored.map(({ value }) => value)).toEqual(stored.map((_, n) => n));
      const { logStart } = (await publisher.admin.describeTopic(topic)).partitions[0]!;
      const retained = stored.filter(({ offset }) => offset >= logStart);
      expect(retained.length).toBeGreaterThanOrEqual(stored.length - lost);
      expect(late.gaps).toMatchObject([{ to: logStart }]);
      for (const reading of [following, late]) {
        // Gaps name exactly the offsets that did not come, and every other acknowledged record came, at its offset.
        expect(reading.gaps.map(({ from, to }) => ({ from, to }))).toEqual(reading.holes);
        expect(reading.missing(stored)).toEqual([]);
        expect(reading.read.filter(({ offset }) => offset >= logStart)).toEqual(retained);
      }
    });
  },
);

describe('a client whose address changes', () => {
  it('keeps its connection, and nothing is lost, repeated or reordered', async () => {
    const topic = 'rebound';
    const relay = await UdpRelay.open(node.quicPort);
    resources.defer(() => relay.close());
    const client = await open(`quic://127.0.0.1:${relay.port}`);
    let disconnects = 0;
    client.on('disconnected', () => (disconnects += 1));
    await client.admin.createTopic({ name: topic });
    const reading = new Reading(await client.subscribe(topic));
    const publishing = new Publishing(client.producer(), topic);
    const ports = new Set([relay.outerPort]);
    for (let n = 0; n < 3; n += 1) {
      await publishing.more(1000);
      await relay.rebind();
      ports.add(relay.outerPort);
    }
    await publishing.more(1000);
    const stored = await publishing.stop();
    await reading.through(stored.at(-1)!.offset);
    expect(ports.size).toBe(4);
    expect(disconnects).toBe(0);
    expect(reading.gaps).toEqual([]);
    expect(reading.read).toEqual(stored);
    expect(stored).toEqual(stored.map((_, n) => ({ value: n, offset: n })));
  });
});

/** A client on another QUIC implementation, written from docs/protocol.md alone, against a real node. */
import type { ChildProcess } from 'node:child_process';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../src/client/index.ts';
import { ERRORS } from '../src/client/index.ts';
import { ErrorSchema } from '../src/gen/sluice/client/v1/control_pb.ts';
import { decodeControl } from '../src/wire/control.ts';
import { eventually } from './support/eventually.ts';
import { NodeProcess } from './support/node-process.ts';
import { requireTools } from './support/system-tools.ts';

const SOURCE = fileURLToPath(new URL('raw-client-go', import.meta.url));
/** Debian's quic-go and where its Go libraries are. */
const QUIC_GO = 'golang-github-lucas-clemente-quic-go-dev';
const GOPATH = '/usr/share/gocode';

interface Happened {
  readonly event: 'connected' | 'message' | 'end' | 'error' | 'stopped';
  readonly stream?: number;
  readonly address?: string;
  readonly value?: string;
  readonly code?: number;
  readonly payload?: string;
}

const resources = new AsyncDisposableStack();
let program: string;
let node: NodeProcess;
let client: Client;

/** The Go client as a process. */
class RawClient implements AsyncDisposable {
  readonly happened: Happened[] = [];
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  stderr = '';

  constructor(ca = node.ca) {
    this.child = spawn(program, ['-server', `127.0.0.1:${node.quicPort}`, '-ca', ca]);
    createInterface({ input: this.child.stdout! }).on('line', (line) =>
      this.happened.push(JSON.parse(line) as Happened),
    );
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.exited = once(this.child, 'exit').then(([code]) => code as number | null);
  }

  order(op: 'subscribe' | 'unsubscribe' | 'publish', topic: string, payload = ''): void {
    this.child.stdin!.write(`${JSON.stringify({ op, topic, payload })}\n`);
  }

  of(event: Happened['event']): Happened[] {
    return this.happened.filter((one) => one.event === event);
  }

  until(event: Happened['event'], count = 1): Promise<void> {
    return eventually(`${count} × ${event}; ${this.stderr}`, () => this.of(event).length >= count);
  }

  /** Subscribes and waits until the broker knows it. */
  async subscribe(topic: string): Promise<void> {
    this.order('subscribe', topic);
    await eventually(`a subscription to ${topic}`, async () => {
      const known = await client.admin.listSubscriptions();
      return known.some(({ filter }) => filter === topic);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.stdin!.end();
    const kill = setTimeout(() => this.child.kill('SIGKILL'), 5000);
    await this.exited;
    clearTimeout(kill);
  }
}

beforeAll(async () => {
  requireTools(['go'], [QUIC_GO]);
  const folder = mkdtempSync(join(tmpdir(), 'sluice-raw-client-'));
  resources.defer(() => rmSync(folder, { recursive: true, force: true }));
  program = join(folder, 'raw-client');
  execFileSync('go', ['build', '-o', program, '.'], {
    cwd: SOURCE,
    env: {
      ...process.env,
      GO111MODULE: 'off',
      GOFLAGS: '',
      GOPATH,
      GOCACHE: join(folder, 'cache'),
      GOTMPDIR: folder,
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  node = resources.use(await NodeProcess.start());
  client = resources.use(await node.connect());
}, 300_000);

afterAll(() => resources.disposeAsync());

describe('a raw client on quic-go', () => {
  it('publishes records with and without key, which the SDK reads in order', async () => {
    await using raw = new RawClient();
    await using subscription = await client.subscribe('prices');
    const sent = Array.from({ length: 500 }, (_, n) => ({
      address: n % 5 === 0 ? 'prices' : `prices/eu/${n % 3}`,
      value: `${n}: ${'x'.repeat(n * 7)}`,
    }));
    for (const { address, value } of sent) raw.order('publish', address, value);
    const read: { address: string; value: string }[] = [];
    for await (const record of subscription) {
      read.push({ address: record.address, value: record.text() });
      if (read.length === sent.length) break;
    }
    expect(read).toEqual(sent);
  });

  it('reads what the SDK publishes in batches, keys included', async () => {
    await using raw = new RawClient();
    await raw.subscribe('orders/+/new');
    const producer = client.producer({ compression: 'zstd' });
    const wanted: { address: string; value: string }[] = [];
    for (let n = 0; n < 300; n += 1) {
      const one = { address: `orders/${n % 4}/${n % 2 === 0 ? 'new' : 'old'}`, value: `value ${n} äöü` };
      if (n % 2 === 0) wanted.push(one);
      void producer.publish(one.address, one.value);
    }
    await producer.close();
    await raw.until('message', wanted.length);
    expect(raw.of('message').map(({ address, value }) => ({ address, value }))).toEqual(wanted);
  });

  it('reads from the start position it names, a stream for each partition', async () => {
    await client.admin.createTopic({ name: 'parted', partitions: 3 });
    await using producer = client.producer();
    for (let partition = 0; partition < 3; partition += 1) {
      for (let n = 0; n < 4; n += 1)
        void producer.send({ topic: 'parted', partition, value: `${partition}.${n}` });
    }
    await producer.flush();
    await using raw = new RawClient();
    raw.order('subscribe', 'parted', '2');
    await raw.until('message', 6);
    const streams = new Map<number, string[]>();
    for (const { stream, value } of raw.of('message'))
      streams.set(stream!, [...(streams.get(stream!) ?? []), value!]);
    expect([...streams.values()].sort()).toEqual([
      ['0.2', '0.3'],
      ['1.2', '1.3'],
      ['2.2', '2.3'],
    ]);
  });

  it('carries a megabyte each way', async () => {
    await using raw = new RawClient();
    await raw.subscribe('big');
    const value = 'abcdefgh'.repeat(100_000);
    raw.order('publish', 'big/one', value);
    await raw.until('message');
    expect(raw.of('message')[0]?.value === value).toBe(true);
  });

  it('sees its streams end when it unsubscribes', async () => {
    await client.admin.createTopic({ name: 'short' });
    await using raw = new RawClient();
    await raw.subscribe('short');
    raw.order('unsubscribe', 'short');
    await raw.until('end');
    expect(raw.of('end')).toEqual([expect.not.objectContaining({ code: expect.anything() as unknown })]);
  });

  it('gets an ERROR frame for a filter that is none, and goes on', async () => {
    await using raw = new RawClient();
    raw.order('subscribe', 'not a topic');
    await raw.until('error');
    const { code } = decodeControl(ErrorSchema, Buffer.from(raw.of('error')[0]!.payload!, 'base64'));
    expect(code).toBe(ERRORS.INVALID_FILTER.wire);
    await raw.subscribe('after-error');
    raw.order('publish', 'after-error', 'still here');
    await raw.until('message');
  });

  it('sees its publish stream stopped with the number of the error', async () => {
    await using raw = new RawClient();
    raw.order('publish', 'not a topic', 'x');
    await raw.until('stopped');
    expect(raw.of('stopped')[0]?.code).toBe(ERRORS.INVALID_TOPIC.wire);
  });

  it('refuses a node whose certificate another authority issued', async () => {
    await using other = await NodeProcess.start();
    await using raw = new RawClient(other.ca);
    expect(await raw.exited).toBe(1);
    expect(raw.stderr).toMatch(/certificate/);
  });
});

/** A broker in this process with the streams of its HTTP gateway, on a real port. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { fastify } from 'fastify';
import type { ClientOptions } from 'ws';
import { WebSocket } from 'ws';
import type { PublishOutcome } from '../../src/broker/broker.ts';
import { Broker } from '../../src/broker/broker.ts';
import type { Credentials, Principal } from '../../src/broker/ports.ts';
import { EmbeddedCoordinator } from '../../src/coordination/embedded/embedded.ts';
import { addErrors } from '../../src/gateway/http/errors.ts';
import type { Asking, Streams } from '../../src/gateway/http/streams/register-streams.ts';
import { registerStreams } from '../../src/gateway/http/streams/register-streams.ts';
import type { StreamLimits } from '../../src/gateway/http/streams/stream-limits.ts';
import { PumpScheduler } from '../../src/gateway/pump-scheduler.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { systemClock } from '../../src/kernel/system-clock.ts';
import { MemoryBudget } from '../../src/log/memory-budget.ts';
import { memoryReplicaLogs } from '../../src/replicas/replica-logs.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import type { TestBatchOptions, TestRecord } from '../../test/support/batch.ts';
import { batchOf } from '../../test/support/batch.ts';
import { eventually } from '../support/eventually.ts';
import { topicSettings } from '../../test/support/topic-settings.ts';

const ANN: Principal = { name: 'ann', kind: 'token', admin: false, rights: [] };
const TOKEN = 'good';

/** A frame that a socket got, or the data of an event. */
export type Frame = Readonly<Record<string, unknown>>;

/** A client's end of a WebSocket, which keeps what it gets. */
export class TestSocket {
  readonly ws: WebSocket;
  readonly frames: Frame[] = [];
  closed: { readonly code: number; readonly reason: string } | undefined;
  /** Status of an upgrade that was refused, and its body. */
  refused: { readonly status: number; readonly body: string } | undefined;

  constructor(url: string, protocols: string[] = [], options: ClientOptions = {}) {
    this.ws = new WebSocket(url, protocols, options);
    this.ws.on('message', (data) => this.frames.push(JSON.parse((data as Buffer).toString()) as Frame));
    this.ws.on('close', (code, reason) => (this.closed = { code, reason: reason.toString() }));
    this.ws.on('error', () => undefined);
    this.ws.on('unexpected-response', (_request, response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () => (this.refused = { status: response.statusCode!, body }));
    });
  }

  get records(): readonly Frame[] {
    return this.frames.filter((frame) => !('type' in frame));
  }

  get values(): readonly unknown[] {
    return this.records.map(({ value }) => value);
  }

  ofType(type: string): readonly Frame[] {
    return this.frames.filter((frame) => frame['type'] === type);
  }

  say(message: unknown): void {
    this.ws.send(JSON.stringify(message));
  }

  async untilOpen(): Promise<this> {
    await eventually('the stream is open', () => this.ofType('open').length > 0 || this.closed !== undefined);
    if (this.closed) throw new Error(`closed with ${this.closed.code} ${this.closed.reason}`);
    return this;
  }

  async untilRecords(count: number): Promise<readonly Frame[]> {
    await eventually(`${count} records`, () => this.records.length >= count);
    return this.records;
  }

  async untilClosed(): Promise<{ readonly code: number; readonly reason: string }> {
    await eventually('the socket is closed', () => this.closed !== undefined);
    return this.closed!;
  }
}

/** An event as it came. */
export interface TestEvent {
  readonly id: string;
  readonly type: string;
  readonly data: Frame;
}

/** A client's end of an event stream. */
export class TestEvents {
  readonly response: Response;
  readonly events: TestEvent[] = [];
  /** All that came, comments too. */
  text = '';
  isOver = false;
  readonly #abort: AbortController;

  private constructor(response: Response, abort: AbortController) {
    this.response = response;
    this.#abort = abort;
  }

  static async open(url: string, headers: Record<string, string> = {}): Promise<TestEvents> {
    const abort = new AbortController();
    const response = await fetch(url, { headers, signal: abort.signal });
    const events = new TestEvents(response, abort);
    void events.#gather().catch(() => undefined);
    return events;
  }

  get values(): readonly unknown[] {
    return this.events.filter(({ type }) => type === 'message').map(({ data }) => data['value']);
  }

  get lastId(): string {
    return this.events.at(-1)!.id;
  }

  async untilValues(count: number): Promise<readonly unknown[]> {
    await eventually(`${count} events`, () => this.values.length >= count);
    return this.values;
  }

  close(): void {
    this.#abort.abort();
  }

  async #gather(): Promise<void> {
    let rest = '';
    for await (const chunk of this.response.body!) {
      const text = Buffer.from(chunk).toString();
      this.text += text;
      rest += text;
      const blocks = rest.split('\n\n');
      rest = blocks.pop()!;
      for (const block of blocks) this.#take(block.split('\n'));
    }
    this.isOver = true;
  }

  #take(lines: readonly string[]): void {
    const field = (name: string): string | undefined =>
      lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    const data = field('data');
    if (data === undefined) return;
    this.events.push({
      ...{ id: field('id') ?? '', type: field('event') ?? 'message' },
      data: JSON.parse(data) as Frame,
    });
  }
}

export class StreamsStage implements AsyncDisposable {
  readonly broker: Broker;
  readonly streams: Streams;
  readonly server: FastifyInstance;
  readonly #coordinator: EmbeddedCoordinator;
  readonly #folder: string;
  readonly #sockets: TestSocket[] = [];
  /** Whether the token is still good. */
  readonly credential: { isGood: boolean };

  private constructor(
    parts: Pick<StreamsStage, 'broker' | 'streams' | 'server' | 'credential'>,
    coordinator: EmbeddedCoordinator,
    folder: string,
  ) {
    this.broker = parts.broker;
    this.streams = parts.streams;
    this.server = parts.server;
    this.credential = parts.credential;
    this.#coordinator = coordinator;
    this.#folder = folder;
  }

  static async open(limits: Partial<StreamLimits> = {}): Promise<StreamsStage> {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-streams-'));
    const clock = systemClock;
    const coordinator = await EmbeddedCoordinator.open({ dataDir: folder, clock, random: systemRandom });
    const credential = { isGood: true };
    const broker = await Broker.open({
      ...{ coordinator, clock, random: systemRandom, inflatedMaxBytes: 16 * 1024 * 1024 },
      authorizer: { allows: (_principal, _operation, topic) => topic !== 'secret' },
      authenticator: { authenticate, isStillValid: () => credential.isGood },
      logs: memoryReplicaLogs(clock, new MemoryBudget(Infinity)),
      topics: TOPICS,
      groups: { storage: { partitions: 2, replicationFactor: 1, minInsync: 1, storage: 'memory' } },
    });
    const server = fastify({ forceCloseConnections: 'idle' });
    addErrors(server, silentLogger, () => undefined);
    const door = {
      identify({ headers }: Asking): Principal {
        if (headers.origin === 'https://evil.example') throw new SluiceError('FORBIDDEN', 'a stranger');
        const { authorization } = headers;
        return broker.authenticate({ token: authorization?.slice('Bearer '.length) });
      },
      noteRefusal: () => 0,
    };
    const scheduler = new PumpScheduler(clock);
    const streams = registerStreams(server, { broker, clock, random: systemRandom, scheduler, door, limits });
    await server.listen({ host: '127.0.0.1', port: 0 });
    return new StreamsStage({ broker, streams, server, credential }, coordinator, folder);
  }

  get port(): number {
    return (this.server.server.address() as AddressInfo).port;
  }

  url(topic: string, kind: 'stream' | 'events', query = ''): string {
    const scheme = kind === 'stream' ? 'ws' : 'http';
    return `${scheme}://127.0.0.1:${this.port}/v1/topics/${topic}/${kind}${query === '' ? '' : `?${query}`}`;
  }

  /** A socket as a client that shows its token opens it. */
  socket(topic: string, query = '', options: ClientOptions = {}, protocols: string[] = []): TestSocket {
    const socket = new TestSocket(this.url(topic, 'stream', query), protocols, {
      headers: { authorization: `Bearer ${TOKEN}` },
      ...options,
    });
    this.#sockets.push(socket);
    return socket;
  }

  events(topic: string, query = '', headers: Record<string, string> = {}): Promise<TestEvents> {
    return TestEvents.open(this.url(topic, 'events', query), {
      authorization: `Bearer ${TOKEN}`,
      ...headers,
    });
  }

  async create(topic: string, partitions = 1): Promise<void> {
    await this.broker.createTopic(ANN, { name: topic, partitions, settings: {} });
  }

  publish(
    topic: string,
    records: readonly TestRecord[] | readonly string[],
    partition = 0,
    options: TestBatchOptions = {},
  ): Promise<PublishOutcome> {
    const batch = batchOf(
      records.map((record) => (typeof record === 'string' ? { value: record } : record)),
      options,
    );
    return new Promise((resolve, reject) =>
      this.broker.publish(ANN, topic, partition, batch, 1, (outcome) =>
        outcome instanceof SluiceError ? reject(outcome) : resolve(outcome),
      ),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { ws } of this.#sockets) ws.terminate();
    await this.streams.close();
    // Connections that clients keep for requests to come.
    this.server.server.closeAllConnections();
    await this.server.close();
    await this.broker[Symbol.asyncDispose]();
    await this.#coordinator[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Resolves when a socket's connection is there. */
export async function connected({ ws }: TestSocket): Promise<void> {
  if (ws.readyState === ws.CONNECTING) await once(ws, 'open');
}

function authenticate({ token }: Credentials): Principal {
  if (token === TOKEN) return ANN;
  throw new SluiceError('UNAUTHENTICATED', 'no such token');
}

const TOPICS = {
  autoCreate: true,
  partitions: 1,
  settings: topicSettings({ retentionBytes: 256 * 1024 * 1024 }),
  maxTopics: 100,
  maxPartitions: 2000,
} as const;

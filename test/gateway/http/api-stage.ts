import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Broker } from '../../../src/broker/broker.ts';
import type { Authorizer, Principal } from '../../../src/broker/ports.ts';
import { EmbeddedCoordinator } from '../../../src/coordination/embedded/embedded.ts';
import type { ApiBroker, ApiOptions } from '../../../src/gateway/http/api-context.ts';
import type { HttpGateway, HttpGatewayOptions } from '../../../src/gateway/http/http-gateway.ts';
import { prepareHttpGateway } from '../../../src/gateway/http/http-gateway.ts';
import type { GroupCase, GroupQuestionInit } from '../../../src/groups/api.ts';
import { SluiceError } from '../../../src/kernel/errors.ts';
import { systemRandom } from '../../../src/kernel/random.ts';
import { systemClock } from '../../../src/kernel/system-clock.ts';
import { MemoryBudget } from '../../../src/log/memory-budget.ts';
import { memoryReplicaLogs } from '../../../src/replicas/replica-logs.ts';
import { ANONYMOUS } from '../../../src/security/principal.ts';
import { silentLogger } from '../../../src/telemetry/logger.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { topicSettings } from '../../support/topic-settings.ts';

const MiB = 1024 * 1024;

/** Answers a question about groups or queues, or throws why not. */
export type AnswerQuestion = (
  name: GroupCase,
  question: Readonly<Record<string, unknown>>,
  signal: AbortSignal | undefined,
) => unknown;

/** What a test may want different. */
export interface ApiStageOptions {
  /** Tokens that are let in, and the names of who shows them; without it everybody is, with none. */
  readonly tokens?: Readonly<Record<string, string>>;
  readonly allows?: Authorizer['allows'];
  /** Whether tokens are still good that were; without it all are. */
  readonly isStillValid?: () => boolean;
  readonly api?: Partial<ApiOptions>;
  readonly gateway?: Partial<HttpGatewayOptions>;
  /** Default: no group is there. */
  readonly groups?: AnswerQuestion;
  /** Delays of refusals, milliseconds, one after the other. */
  readonly refusalDelaysMs?: readonly number[];
  readonly batchMaxBytes?: number;
}

/** An answer as a test looks at it. */
export interface Answered {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Headers;
}

/** A broker with topics in memory behind the HTTP gateway on a port of this machine; its groups answer as the test says. */
export class ApiStage implements AsyncDisposable {
  gateway!: HttpGateway;
  broker!: Broker;
  /** Questions about groups and queues that were asked. */
  readonly asked: { readonly name: GroupCase; readonly question: Readonly<Record<string, unknown>> }[] = [];
  readonly #parts = new AsyncDisposableStack();

  static async open(options: ApiStageOptions = {}): Promise<ApiStage> {
    const stage = new ApiStage();
    await stage.#open(options);
    return stage;
  }

  /** @param body a string or bytes as they are, anything else as JSON */
  async call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answered> {
    const isRaw = body === undefined || typeof body === 'string' || body instanceof Uint8Array;
    const response = await fetch(`http://127.0.0.1:${this.gateway.port}${path}`, {
      method,
      ...(body !== undefined && { body: isRaw ? (body as string) : JSON.stringify(body) }),
      headers: { ...(!isRaw && { 'content-type': 'application/json' }), ...headers },
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
    return {
      status: response.status,
      body: isJson ? (JSON.parse(text) as unknown) : text,
      headers: response.headers,
    };
  }

  get(path: string, headers?: Record<string, string>): Promise<Answered> {
    return this.call('GET', path, undefined, headers);
  }

  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Answered> {
    return this.call('POST', path, body, headers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }

  async #open(options: ApiStageOptions): Promise<void> {
    const parts = this.#parts;
    this.broker = await openBroker(options, parts);
    const delays = [...(options.refusalDelaysMs ?? [])];
    const prepared = await prepareHttpGateway({
      metrics: createMetrics(),
      readiness: () => ({ ready: true, reasons: [] }),
      log: silentLogger,
      version: { name: 'sluice', version: '1.2.3' },
      api: {
        broker: this.#apiBroker(options.groups),
        clock: systemClock,
        random: systemRandom,
        security: { note: () => undefined },
        failedAuthentications: { note: () => delays.shift() ?? 0 },
        limits: {
          bodyMaxBytes: 2 * MiB,
          bodiesMaxBytes: 16 * MiB,
          keyMaxBytes: 64 * 1024,
          inflatedMaxBytes: 16 * MiB,
        },
        origins: [],
        names: [],
        ...options.api,
      },
      ...options.gateway,
    });
    this.gateway = await prepared.listen({ host: '127.0.0.1', port: 0 });
    parts.defer(() => this.gateway.close());
  }

  #apiBroker(answer: AnswerQuestion | undefined): ApiBroker {
    const ask = (
      _principal: Principal,
      name: GroupCase,
      question: GroupQuestionInit,
      options?: { readonly signal?: AbortSignal | undefined },
    ): Promise<unknown> => {
      const asked = question as Readonly<Record<string, unknown>>;
      this.asked.push({ name, question: asked });
      if (!answer) return Promise.reject(new SluiceError('QUEUE_NOT_FOUND', 'no such queue'));
      return new Promise((resolve) => resolve(answer(name, asked, options?.signal)));
    };
    return new Proxy(this.broker, {
      get(target, property) {
        if (property === 'groups') return { ask };
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }
}

async function openBroker(options: ApiStageOptions, parts: AsyncDisposableStack): Promise<Broker> {
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-http-'));
  parts.defer(() => rm(dataDir, { recursive: true }));
  const shared = { clock: systemClock, random: systemRandom };
  const coordinator = parts.use(await EmbeddedCoordinator.open({ dataDir, ...shared }));
  return parts.use(
    await Broker.open({
      ...{ coordinator, ...shared, inflatedMaxBytes: 16 * MiB },
      authorizer: { allows: options.allows ?? (() => true) },
      authenticator: {
        authenticate: ({ token }) => principalOf(options.tokens, token),
        isStillValid: options.isStillValid ?? (() => true),
      },
      logs: memoryReplicaLogs(systemClock, new MemoryBudget(512 * MiB)),
      topics: {
        autoCreate: true,
        partitions: 1,
        settings: topicSettings({ batchMaxBytes: options.batchMaxBytes ?? MiB }),
        maxTopics: 1000,
        maxPartitions: 1000,
      },
    }),
  );
}

function principalOf(tokens: ApiStageOptions['tokens'], token: string | undefined): Principal {
  if (!tokens) return ANONYMOUS;
  const name = token === undefined ? undefined : tokens[token];
  if (name === undefined) throw new SluiceError('UNAUTHENTICATED', 'a token is needed');
  return { name, kind: 'token', admin: false, rights: [], tokenId: token! };
}

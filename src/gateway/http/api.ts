import cors from '@fastify/cors';
import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import type { ApiContext } from './api-context.ts';
import { Bodies, takeJsonBodies, takeRawBodies } from './body.ts';
import { Identity } from './identity.ts';
import { PublishBatcher } from './publish/publish-batcher.ts';
import { addClusterRoutes } from './routes/cluster.ts';
import { addDeadLetterRoutes } from './routes/dead-letters.ts';
import { addGroupRoutes } from './routes/groups.ts';
import { addMessageRoutes } from './routes/messages.ts';
import { addPublishRoutes } from './routes/publish.ts';
import { addQueueRoutes } from './routes/queues.ts';
import { addTopicRoutes } from './routes/topics.ts';
import { addVfmpPublish, addVfmpRoutes } from './routes/vfmp.ts';
import { SHARED_SCHEMAS } from './schemas/shared.ts';
import { registerStreams } from './streams/register-streams.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Bodies of a route that looks at them by itself, for the OpenAPI document: by content type. */
    readonly body?: Readonly<Record<string, object>>;
  }
}

const CORS_MAX_AGE_S = 600;

/** Serves the API of topics, messages, groups and queues, and the document that describes it, on a server or a scope of one. */
export async function addApi(server: FastifyInstance, context: ApiContext, version: string): Promise<void> {
  const identity = new Identity(context);
  await server.register(async (open) => {
    if (context.origins.length > 0) await addCors(open, context.origins);
    // Answers are as their handlers make them: their schemas say what they are like.
    open.setSerializerCompiler(() => (answer) => JSON.stringify(answer));
    for (const [$id, schema] of Object.entries(SHARED_SCHEMAS)) open.addSchema({ ...schema, $id });
    await describe(open, version, context.inOrder);
    registerStreams(open, {
      ...{ ...context, door: identity, counters: context.counters.streams },
      limits: { maxInflatedBytes: context.limits.inflatedMaxBytes },
    });
    await open.register((scope, _options, done) => {
      authenticate(scope, context, identity);
      addRoutes(scope, context, version);
      done();
    });
  });
}

function addRoutes(scope: FastifyInstance, context: ApiContext, version: string): void {
  const bodies = new Bodies(context.limits);
  const batcher = new PublishBatcher(context.broker, context.clock);
  takeJsonBodies(scope, bodies);
  addTopicRoutes(scope, context);
  addMessageRoutes(scope, context);
  addGroupRoutes(scope, context);
  addQueueRoutes(scope, context);
  addDeadLetterRoutes(scope, context);
  addClusterRoutes(scope, context);
  addVfmpRoutes(scope, context, version);
  void scope.register((raw, _options, done) => {
    takeRawBodies(raw, bodies);
    addPublishRoutes(raw, context, batcher);
    addVfmpPublish(raw, context, batcher);
    done();
  });
}

/** Before bodies are read: who may not ask is not listened to. */
function authenticate(scope: FastifyInstance, { clock }: ApiContext, identity: Identity): void {
  scope.decorateRequest('principal');
  scope.addHook('onRequest', (request, _reply, done) => {
    try {
      request.principal = identity.identify(request);
    } catch (error) {
      const waitMs = identity.noteRefusal(request, error);
      if (waitMs === 0) done(error as Error);
      else clock.setTimer(waitMs, () => done(error as Error));
      return;
    }
    done();
  });
}

async function addCors(scope: FastifyInstance, origins: readonly string[]): Promise<void> {
  await scope.register(cors, {
    origin: origins.includes('*') ? '*' : [...origins],
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposedHeaders: ['retry-after', 'x-correlation-id'],
    maxAge: CORS_MAX_AGE_S,
    strictPreflight: true,
  });
}

async function describe(
  scope: FastifyInstance,
  version: string,
  inOrder: ApiContext['inOrder'],
): Promise<void> {
  await scope.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Sluice',
        version,
        description:
          'Topics, messages, consumer groups, queues and dead letters of a Sluice node: docs/http.md',
      },
      security: [{ token: [] }, {}],
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    },
    refResolver: {
      buildLocalReference: ({ $id }, _base, _fragment, index) =>
        typeof $id === 'string' ? $id : `schema-${index}`,
    },
    // Bodies that are looked at by hand are described beside the schemas that are checked.
    transform: ({ schema, url, route }) => {
      const body = route.config?.body;
      return { schema: body ? { ...schema, body: { content: body } } : schema, url };
    },
  });
  scope.get('/openapi.json', { schema: { hide: true }, onRequest: inOrder }, () => scope.swagger());
}

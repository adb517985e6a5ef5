import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ServerOptions, WebSocket } from 'ws';
import { WebSocketServer } from 'ws';
import type { Principal } from '../../../broker/ports.ts';
import type { Clock } from '../../../kernel/clock.ts';
import { asSluiceError, SluiceError } from '../../../kernel/errors.ts';
import type { Random } from '../../../kernel/random.ts';
import { ByteBudget } from '../../../log/byte-budget.ts';
import type { PumpScheduler } from '../../pump-scheduler.ts';
import { EventOutlet } from './event-stream.ts';
import type { StreamBroker, StreamContext } from './feed.ts';
import type { StreamClient } from './live-stream.ts';
import { LiveStream } from './live-stream.ts';
import { refuseUpgrade } from './refuse-upgrade.ts';
import { shownCredentials, SUBPROTOCOL } from './shown-credentials.ts';
import { StreamCounters } from './stream-counters.ts';
import type { StreamLimits } from './stream-limits.ts';
import { DEFAULT_STREAM_LIMITS } from './stream-limits.ts';
import type { StreamRequest } from './stream-request.ts';
import { parseStreamRequest } from './stream-request.ts';
import { StreamTable } from './stream-table.ts';
import { closeSocket, SocketOutlet } from './web-socket.ts';

/** A request as far as it says who makes it. */
export interface Asking {
  readonly headers: IncomingHttpHeaders;
  readonly socket: Socket;
}

/** Who may come in; the same for all of the HTTP gateway. */
export interface Door {
  /** @throws UNAUTHENTICATED; FORBIDDEN to a page of an origin that may not use the node */
  identify(asking: Asking): Principal;
  /** @returns how long the refusal has to wait, milliseconds */
  noteRefusal(asking: Asking, error: unknown): number;
}

/** What streams are served with. */
export interface StreamsOptions {
  readonly broker: StreamBroker;
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: PumpScheduler;
  readonly door: Door;
  readonly limits?: Partial<StreamLimits> | undefined;
  /** Default: ones of its own. */
  readonly counters?: StreamCounters | undefined;
  /** Aborts when the gateway lets its clients go. */
  readonly going?: AbortSignal | undefined;
}

/** The streams of a gateway. */
export interface Streams {
  /** Live; do not keep a copy. */
  readonly counters: StreamCounters;
  /** Ends all with DRAINING and takes no more. The server does it itself when it is closed. Idempotent. */
  close(): Promise<void>;
}

const SOCKET_PATH = /^\/v1\/topics\/([^/]+)\/stream$/;

/**
 * Serves the records of topics as they come, each client at its pace:
 *
 *     GET /v1/topics/{topic}/stream   a WebSocket, docs/http.md "Streams"
 *     GET /v1/topics/{topic}/events   server-sent events
 *
 * Its routes find out by themselves who asks, so they belong where no hook does that.
 *
 * @param server takes its upgrades over
 */
export function registerStreams(server: FastifyInstance, options: StreamsOptions): Streams {
  const registration = new Registration(options);
  const { counters } = registration.context;
  const route = { exposeHeadRoute: false, schema: { hide: true } as object };
  server.get('/v1/topics/:topic/events', route, (request, reply) => registration.events(request, reply));
  server.get('/v1/topics/:topic/stream', route, () => {
    throw new SluiceError('INVALID_ARGUMENT', 'this is a WebSocket: ask for an upgrade, or take …/events');
  });
  server.server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) =>
    registration.upgrade(request, socket, head),
  );
  const close = (): Promise<void> => registration.table.close();
  server.addHook('preClose', (done) => void close().then(() => done()));
  options.going?.addEventListener('abort', () => void close());
  return { counters, close };
}

class Registration {
  readonly context: StreamContext;
  readonly table: StreamTable;
  readonly #door: Door;
  readonly #sockets: WebSocketServer;

  constructor(given: StreamsOptions) {
    const { broker, clock, random, scheduler, door } = given;
    const limits = { ...DEFAULT_STREAM_LIMITS, ...given.limits };
    this.context = {
      ...{ broker, clock, random, limits, scheduler },
      inflated: new ByteBudget(limits.maxHeldInflatedBytes),
      counters: given.counters ?? new StreamCounters(),
    };
    this.table = new StreamTable(clock, limits);
    this.#door = door;
    this.#sockets = new WebSocketServer(socketOptions(limits));
  }

  /** Serves an event stream until it ends. @throws what it is refused with */
  async events(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { context } = this;
    const { raw } = request;
    let stream: LiveStream;
    try {
      const query = queryOf(raw);
      const client = await this.#enter(raw, query);
      const { topic } = request.params as { topic: string };
      const ask = parseStreamRequest({ topic, query, isOneWay: true, lastEventId: lastEventId(raw) });
      // Those of CORS are there already.
      const headers = reply.getHeaders() as OutgoingHttpHeaders;
      stream = new LiveStream(context, client, ask, new EventOutlet(reply.raw, context, headers));
    } catch (error) {
      context.counters.refused += 1;
      throw error;
    }
    this.#add(stream, 'eventStreams');
    reply.raw.once('close', () => stream.gone());
    // What it is refused with is an answer like any other.
    await stream.open(() => {
      reply.hijack();
    });
    return reply;
  }

  /** Serves a WebSocket, or refuses it. */
  upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    // It may break before it is anybody's.
    const ignore = (): void => undefined;
    socket.on('error', ignore);
    this.#upgrade(request, socket, head).catch((error: unknown) => {
      this.context.counters.refused += 1;
      refuseUpgrade(socket, asSluiceError(error));
    });
  }

  async #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    const topic = SOCKET_PATH.exec(request.url!.split('?')[0]!)?.[1];
    if (topic === undefined) throw new SluiceError('UNSUPPORTED', 'there is no WebSocket here');
    const query = queryOf(request);
    const client = await this.#enter(request, query);
    this.#sockets.handleUpgrade(request, socket, head, (ws) => {
      // A page is told nothing of an upgrade that was refused: everything else is said in the socket.
      try {
        this.#openSocket(
          ws,
          socket,
          client,
          parseStreamRequest({ topic: decoded(topic), query, isOneWay: false }),
        );
      } catch (error) {
        this.context.counters.refused += 1;
        ws.on('error', () => undefined);
        closeSocket(ws, asSluiceError(error));
      }
    });
  }

  #openSocket(ws: WebSocket, socket: Socket, client: StreamClient, ask: StreamRequest): void {
    const outlet = new SocketOutlet(ws, socket, this.context, {
      said: (message) => stream.feed.take(message),
      failed: (error) => stream.end(error),
      gone: () => stream.gone(),
    });
    const stream: LiveStream = new LiveStream(this.context, client, ask, outlet);
    this.#add(stream, 'sockets');
    stream.open(() => undefined).catch((error: unknown) => outlet.finish(asSluiceError(error)));
  }

  /** Who wants a stream, where there is room for one more. @throws UNAUTHENTICATED, FORBIDDEN, OVERLOADED, DRAINING */
  async #enter(request: IncomingMessage, query: URLSearchParams): Promise<StreamClient> {
    const principal = await this.#identify(request, query);
    const remoteAddress = addressOf(request.socket);
    this.table.checkRoom(remoteAddress);
    return { principal, remoteAddress };
  }

  async #identify(request: IncomingMessage, query: URLSearchParams): Promise<Principal> {
    const asking = shownCredentials(request, query);
    try {
      return this.#door.identify(asking);
    } catch (error) {
      const waitMs = this.#door.noteRefusal(asking, error);
      if (waitMs > 0)
        await new Promise<void>((resolve) => {
          this.context.clock.setTimer(waitMs, resolve);
        });
      throw error;
    }
  }

  #add(stream: LiveStream, kind: 'sockets' | 'eventStreams'): void {
    const { counters } = this.context;
    counters[kind] += 1;
    void stream.closed.then(() => {
      counters[kind] -= 1;
    });
    this.table.add(stream);
  }
}

/** Some of these are newer than the types of the library. */
function socketOptions(limits: StreamLimits): ServerOptions {
  const options = {
    noServer: true,
    clientTracking: false,
    maxPayload: limits.maxMessageBytes,
    // A few bytes could become gigabytes.
    perMessageDeflate: false,
    maxFragments: 64,
    maxBufferedChunks: 1024,
    closeTimeout: limits.closeMs,
    handleProtocols: (offered: ReadonlySet<string>) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  } as const;
  return options;
}

function queryOf({ url = '' }: IncomingMessage): URLSearchParams {
  const mark = url.indexOf('?');
  return new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1));
}

function lastEventId({ headers }: IncomingMessage): string | undefined {
  const id = headers['last-event-id'];
  return Array.isArray(id) ? id[0] : id;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new SluiceError('INVALID_ARGUMENT', 'the path cannot be decoded', { cause });
  }
}

function addressOf({ remoteAddress = '', remotePort = 0 }: Socket): string {
  return remoteAddress.includes(':') ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}

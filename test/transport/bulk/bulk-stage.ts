import { afterEach, beforeEach } from 'vitest';
import { SluiceError } from '../../../src/kernel/errors.ts';
import { dialBulkStream } from '../../../src/transport/bulk/bulk-dial.ts';
import { KIND } from '../../../src/transport/bulk/frames.ts';
import type { GrpcChannelOptions } from '../../../src/transport/grpc/grpc-channel.ts';
import type { GrpcServerOptions } from '../../../src/transport/grpc/grpc-server.ts';
import { GrpcServer, streams } from '../../../src/transport/grpc/grpc-server.ts';
import type { GrpcSettings } from '../../../src/transport/grpc/grpc-settings.ts';
import type { GrpcTls } from '../../../src/transport/grpc/grpc-tls.ts';
import type { MessageStream } from '../../../src/transport/grpc/message-stream.ts';
import type { MessageCodec, RpcMethod } from '../../../src/transport/grpc/rpc-method.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { NodeAuthority } from '../../support/node-certificates.ts';
import { turns } from '../../support/turns.ts';
import { TcpRelay } from '../../support/tcp-relay.ts';
import { RawCaller, frame, openFrame } from './raw-caller.ts';

/** One authority for all tests of a file: making keys takes time. */
export const authority = await NodeAuthority.create();
export const tlsOfA = await authority.tls('a');
export const tlsOfB = await authority.tls('b');

const MiB = 1024 * 1024;

export const SETTINGS: GrpcSettings = {
  maxMessageBytes: 8 * MiB,
  windowBytes: MiB,
  keepAliveMs: 1000,
  keepAliveTimeoutMs: 1500,
};
/** An end that hears nothing ends the stream when it has looked so often. */
export const SILENT_LOOKS = 3;

/** Bytes as they are; `unreadable` are none. */
const bytes: MessageCodec<Buffer> = {
  encode: (message) => message,
  decode: (message) => {
    if (message.length === 10 && message.toString() === 'unreadable') throw new Error('no bytes');
    return message;
  },
};
/** Each message comes back. */
export const ECHO: RpcMethod<Buffer, Buffer> = { path: '/test.Test/Echo', request: bytes, response: bytes };
/** Nothing comes back by itself. */
export const CHAT: RpcMethod<Buffer, Buffer> = { path: '/test.Test/Chat', request: bytes, response: bytes };

/** One end of a stream and what has come there. */
export class StreamEnd {
  readonly stream: MessageStream<Buffer, Buffer>;
  readonly got: Buffer[] = [];
  /** One entry when it is over. */
  readonly ends: (SluiceError | undefined)[] = [];
  readonly ended: Promise<SluiceError | undefined>;
  /** How often there was room again. */
  writable = 0;

  constructor(stream: MessageStream<Buffer, Buffer>) {
    this.stream = stream;
    const { promise, resolve } = Promise.withResolvers<SluiceError | undefined>();
    this.ended = promise;
    stream.onMessage = (message) => void this.got.push(message);
    stream.onWritable = () => (this.writable += 1);
    stream.onEnd = (error) => {
      this.ends.push(error);
      resolve(error);
    };
  }

  get texts(): string[] {
    return this.got.map(String);
  }

  say(...texts: readonly string[]): void {
    for (const text of texts) this.stream.write(Buffer.from(text));
  }
}

/** The two ends of a stream. */
export interface StreamPair {
  readonly caller: StreamEnd;
  readonly called: StreamEnd;
}
export const SIDES = ['caller', 'called'] as const;

/** The end at a side, and the other one. */
export function seenFrom(
  side: (typeof SIDES)[number],
  { caller, called }: StreamPair,
): [StreamEnd, StreamEnd] {
  return side === 'caller' ? [caller, called] : [called, caller];
}

/** A server and who calls it. Each end has a clock of its own, which only the test moves. */
class BulkStage {
  clock = new FakeClock();
  callerClock = new FakeClock();
  /** The called ends, in the order in which they came. */
  called: StreamEnd[] = [];
  callers: unknown[] = [];
  server!: GrpcServer;
  #ends: (() => unknown)[] = [];

  async open(options: Partial<GrpcServerOptions<unknown>> = {}): Promise<void> {
    this.clock = new FakeClock();
    this.callerClock = new FakeClock();
    this.called = [];
    this.callers = [];
    const take = (who: unknown, stream: MessageStream<Buffer, Buffer>): StreamEnd => {
      const end = new StreamEnd(stream);
      this.callers.push(who);
      this.called.push(end);
      return end;
    };
    this.server = await GrpcServer.listen(
      {
        ...{ host: '127.0.0.1', port: 0, tls: tlsOfB, settings: SETTINGS, clock: this.clock },
        identify: () => 'somebody',
        ...options,
      },
      [
        streams(ECHO, (who, stream) => {
          const end = take(who, stream);
          stream.onMessage = (message) => {
            end.got.push(message);
            stream.write(message);
          };
        }),
        streams(CHAT, take),
      ],
    );
  }

  async close(): Promise<void> {
    for (const end of this.#ends.splice(0)) end();
    await this.stop();
  }

  /** Ends the server and all streams. */
  async stop(): Promise<void> {
    const closed = this.server.close(0);
    this.clock.advance(0);
    await closed;
  }

  /** Opens a server in place of the one that is there. */
  async reopen(options: Partial<GrpcServerOptions<unknown>>): Promise<void> {
    await this.stop();
    await this.open(options);
  }

  dial(method: RpcMethod<Buffer, Buffer> = CHAT, options: DialOptions = {}): StreamEnd {
    const { port = this.server.port, ...rest } = options;
    const stream = dialBulkStream(
      {
        ...{ address: `127.0.0.1:${port}`, tls: tlsOfA, settings: SETTINGS },
        ...{ check: () => 'b', clock: this.callerClock, ...rest },
      },
      method,
    );
    const end = new StreamEnd(stream);
    this.#ends.push(() => stream.end(new SluiceError('CANCELLED', 'the test is over')));
    return end;
  }

  /** A stream that is open at both ends. */
  async pair(options: DialOptions = {}): Promise<StreamPair> {
    const before = this.called.length;
    const caller = this.dial(CHAT, options);
    while (this.called.length === before) await turns(1);
    return { caller, called: this.called[before]! };
  }

  /** Stands between the server and those who dial its port. */
  async relay(): Promise<TcpRelay> {
    const relay = await TcpRelay.listen(this.server.port);
    this.#ends.push(() => relay.close());
    return relay;
  }

  /** A caller that says whatever the test wants. */
  async raw(tls: GrpcTls = tlsOfA): Promise<RawCaller> {
    const raw = await RawCaller.connect(this.server.port, tls);
    this.#ends.push(() => raw.socket.destroy());
    return raw;
  }

  /** A stream that such a caller has opened, after it has said something on it. */
  async rawCall(...texts: readonly string[]): Promise<{ raw: RawCaller; called: StreamEnd }> {
    const before = this.called.length;
    const raw = await this.raw();
    raw.send(openFrame(CHAT.path), ...texts.map((text) => frame(KIND.message, text)));
    await until(() => this.called[before]?.got.length === texts.length);
    return { raw, called: this.called[before]! };
  }

  /** Both ends look once whether the other is there, and have `pause` turns for what they say then. */
  async look(pause = 5): Promise<void> {
    this.clock.advance(SETTINGS.keepAliveMs);
    this.callerClock.advance(SETTINGS.keepAliveMs);
    await turns(pause);
  }
}

type DialOptions = Partial<Omit<GrpcChannelOptions, 'address'>> & { readonly port?: number };

/** A stage that is open during each test of a `describe`. */
export function bulkStage(): BulkStage {
  const stage = new BulkStage();
  beforeEach(() => stage.open());
  afterEach(() => stage.close());
  return stage;
}

/** Waits until something is so; the test's own limit of time bounds it. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await turns(1);
}

/** Whether they are what {@link patterned} gives for 0, 1, 2 … */
export function arePatterned(messages: readonly Buffer[], length: number): boolean {
  return messages.every((message, seed) => message.equals(patterned(seed, length)));
}

/** Bytes that differ from those of another `seed`, and all along. */
export function patterned(seed: number, length: number): Buffer {
  const message = Buffer.allocUnsafe(length);
  let state = seed * 2_654_435_761 + 1;
  for (let at = 0; at < length; at += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    message[at] = state >>> 16;
  }
  return message;
}

import type { Clock, Timer } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { FetchRequest, FetchResponse } from '../partition/replication.ts';
import { dialBulkStream } from '../transport/bulk/bulk-dial.ts';
import { GrpcChannel } from '../transport/grpc/grpc-channel.ts';
import type { GrpcChannelOptions } from '../transport/grpc/grpc-channel.ts';
import type { MessageStream } from '../transport/grpc/message-stream.ts';
import type { RpcMethod } from '../transport/grpc/rpc-method.ts';
import { FetchCalls } from './fetch-calls.ts';
import type { ForwardCounters } from './forward-calls.ts';
import { ForwardCalls } from './forward-calls.ts';
import { PEER } from './peer-methods.ts';
import type { PeerSettings } from './peer-settings.ts';
import type { ForwardCallback, ForwardedPublish, ReadAnswer, ReadRequest } from './ports.ts';
import { ReadCalls } from './read-calls.ts';

/** What a connection is made of. */
export interface PeerConnectionParts {
  readonly nodeId: string;
  readonly channel: Omit<GrpcChannelOptions, 'settings' | 'clock'>;
  readonly settings: PeerSettings;
  readonly clock: Clock;
  readonly counters: ForwardCounters;
  /** It is connected. */
  readonly onReady: () => void;
  /** It is over; called once, and everything on it has failed with that error, UNAVAILABLE. */
  readonly onEnd: (error: SluiceError) => void;
}

/**
 * The connection to another node, from before it is made until it has ended, with everything that is asked on it. Its streams have connections of their
 * own beside it, which end with it, and it with them.
 */
export class PeerConnection {
  readonly #parts: PeerConnectionParts;
  readonly #channel: GrpcChannel;
  readonly #fetches: FetchCalls;
  readonly #connecting: Timer;
  #forwards: ForwardCalls | undefined;
  #reads: ReadCalls | undefined;
  #ended = false;

  /** @throws INVALID_CONFIG when the certificates cannot be used */
  constructor(parts: PeerConnectionParts) {
    const { settings, clock } = parts;
    const end = (error: SluiceError) => this.end(error);
    this.#parts = parts;
    this.#channel = new GrpcChannel({ ...parts.channel, settings: settings.grpc, clock });
    this.#fetches = new FetchCalls(() => this.#open(PEER.replicate), clock, settings.callTimeoutMs, end);
    this.#connecting = clock.setTimer(settings.connectTimeoutMs, () =>
      this.end(new SluiceError('UNAVAILABLE', `no connection after ${settings.connectTimeoutMs} ms`)),
    );
    this.#channel.connect({
      onReady: () => {
        this.#connecting.cancel();
        if (!this.#ended) parts.onReady();
      },
      onLost: () => this.end(new SluiceError('UNAVAILABLE', 'the connection is lost')),
    });
  }

  /** Bytes of publishes that are not answered. */
  get forwardBytes(): number {
    return this.#forwards?.bytes ?? 0;
  }

  fetch(request: FetchRequest): Promise<FetchResponse> {
    return this.#fetches.fetch(request);
  }

  forward(publish: ForwardedPublish, done: ForwardCallback): void {
    const { clock, settings, counters } = this.#parts;
    this.#forwards ??= new ForwardCalls(this.#open(PEER.forward), clock, settings, counters, (error) =>
      this.end(error),
    );
    this.#forwards.forward(publish, done);
  }

  /** @throws what the other node answers; UNAVAILABLE, TIMEOUT */
  read(request: ReadRequest): Promise<ReadAnswer> {
    const { clock, settings } = this.#parts;
    this.#reads ??= new ReadCalls(this.#open(PEER.read), clock, settings.callTimeoutMs, (error) =>
      this.end(error),
    );
    return this.#reads.read(request);
  }

  /** @throws what the other node answers; UNAVAILABLE, TIMEOUT, CANCELLED */
  call<In, Out>(method: RpcMethod<In, Out>, request: In, waitMs: number, signal?: AbortSignal): Promise<Out> {
    return this.#channel.call(method, request, waitMs + this.#parts.settings.callTimeoutMs, signal);
  }

  #open<In, Out>(method: RpcMethod<In, Out>): MessageStream<In, Out> {
    const { channel, settings, clock } = this.#parts;
    if (settings.streams === 'grpc') return this.#channel.open(method);
    return dialBulkStream({ ...channel, settings: settings.grpc, clock }, method);
  }

  /** Ends it and fails everything on it. Idempotent. */
  end(cause: SluiceError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#connecting.cancel();
    const { nodeId, channel, onEnd } = this.#parts;
    const reason = this.#channel.refusal ?? cause;
    const error = new SluiceError('UNAVAILABLE', `node ${nodeId} at ${channel.address}: ${reason.message}`, {
      cause: reason,
    });
    onEnd(error);
    this.#fetches.fail(error);
    this.#forwards?.fail(error);
    this.#reads?.fail(error);
    this.#channel.close();
  }
}

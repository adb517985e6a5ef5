import { Client, connectivityState, credentials } from '@grpc/grpc-js';
import { createSecureContext } from 'node:tls';
import type { Clock } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import { callingStream } from './duplex-stream.ts';
import { errorFromCall } from './grpc-error.ts';
import type { GrpcSettings } from './grpc-settings.ts';
import { channelOptions } from './grpc-settings.ts';
import type { CertificateCheck, GrpcTls } from './grpc-tls.ts';
import { refusalOf, secureContextOptions } from './grpc-tls.ts';
import type { MessageStream } from './message-stream.ts';
import type { RpcMethod } from './rpc-method.ts';
import { asSerialized } from './rpc-method.ts';

/** Said in TLS as the name of the server whatever its address is: who it is says its certificate, and an address may not stand there. */
export const SERVER_NAME = 'node.sluice';

/** Whom a channel reaches and how. */
export interface GrpcChannelOptions {
  /** `host:port`. */
  readonly address: string;
  readonly tls: GrpcTls;
  readonly settings: GrpcSettings;
  /** Whether the server is the one that is meant; its name and address are not looked at. */
  readonly check: CertificateCheck<unknown>;
  readonly clock: Clock;
}

/** Is told how the connection is. */
export interface ConnectionWatcher {
  onReady(): void;
  /** It could not be made, or has ended. */
  onLost(): void;
}

/** One connection to one server, made on the first call. It is not made again: who has seen it end opens another channel. */
export class GrpcChannel {
  readonly #client: Client;
  readonly #clock: Clock;
  #refusal: SluiceError | undefined;
  #closed = false;

  /** @throws INVALID_CONFIG when the certificates cannot be used */
  constructor({ address, tls, settings, check, clock }: GrpcChannelOptions) {
    this.#clock = clock;
    const context = createSecureContext(secureContextOptions(tls));
    this.#client = new Client(
      `dns:${address}`,
      credentials.createFromSecureContext(context, {
        checkServerIdentity: (_, certificate) => this.#remember(refusalOf(check, certificate.raw)),
      }),
      { ...channelOptions(settings), 'grpc.ssl_target_name_override': SERVER_NAME },
    );
  }

  /** Why the server's certificate was refused last. */
  get refusal(): SluiceError | undefined {
    return this.#refusal;
  }

  /** Connects now. @param watcher told at most once of each, and of nothing after `close` */
  connect(watcher: ConnectionWatcher): void {
    this.#follow(this.#client.getChannel().getConnectivityState(true), watcher);
  }

  /**
   * A single call.
   * @param timeoutMs milliseconds, after which it is given up at both ends
   * @param signal gives it up at both ends
   * @throws what the server answers; UNAVAILABLE, TIMEOUT, CANCELLED
   */
  call<In, Out>(
    method: RpcMethod<In, Out>,
    request: In,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<Out> {
    if (signal?.aborted) return Promise.reject(new SluiceError('CANCELLED', 'nobody waits for the answer'));
    return new Promise((resolve, reject: (error: SluiceError) => void) => {
      const bytes = method.request.encode(request);
      const call = this.#client.makeUnaryRequest(
        method.path,
        asSerialized,
        asIs,
        bytes,
        (error, response) => {
          timer.cancel();
          signal?.removeEventListener('abort', cancel);
          try {
            if (error ?? !response) reject(errorFromCall(error));
            else resolve(method.response.decode(response));
          } catch (unreadable) {
            reject(errorFromCall(unreadable));
          }
        },
      );
      const timer = this.#clock.setTimer(timeoutMs, () => {
        reject(new SluiceError('TIMEOUT', `no answer from the other node after ${timeoutMs} ms`));
        call.cancel();
      });
      const cancel = (): void => call.cancel();
      signal?.addEventListener('abort', cancel, { once: true });
    });
  }

  /** A stream of calls; what is written before there is a connection waits for it. */
  open<In, Out>(method: RpcMethod<In, Out>): MessageStream<In, Out> {
    return callingStream(this.#client.makeBidiStreamRequest(method.path, asSerialized, asIs), method);
  }

  /** Ends the connection once the calls on it have ended. */
  close(): void {
    this.#closed = true;
    this.#client.close();
  }

  #follow(state: connectivityState, watcher: ConnectionWatcher): void {
    this.#client.getChannel().watchConnectivityState(state, Infinity, () => {
      if (this.#closed) return;
      const next = this.#client.getChannel().getConnectivityState(false);
      if (next === connectivityState.READY) watcher.onReady();
      else if (state === connectivityState.READY || next === connectivityState.TRANSIENT_FAILURE) {
        // Calls on it say why it is lost; they come first.
        setImmediate(() => watcher.onLost());
        return;
      }
      this.#follow(next, watcher);
    });
  }

  #remember(refusal: Error | undefined): Error | undefined {
    if (refusal instanceof SluiceError) this.#refusal = refusal;
    return refusal;
  }
}

const asIs = (bytes: Buffer): Buffer => bytes;

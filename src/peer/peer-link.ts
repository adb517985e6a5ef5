import { Backoff } from '../kernel/backoff.ts';
import type { Clock } from '../kernel/clock.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';
import { checkNodeIdentity } from '../security/node-identity.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { GrpcTls } from '../transport/grpc/grpc-tls.ts';
import type { ForwardCounters } from './forward-calls.ts';
import { PeerConnection } from './peer-connection.ts';
import type { PeerSettings } from './peer-settings.ts';

/** What all links of a node share. */
export interface PeerLinkContext {
  /** Name of the cluster. */
  readonly cluster: string;
  readonly settings: PeerSettings;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly counters: ForwardCounters;
  /** `host:port`; undefined: not a member now, or it cannot be reached. */
  readonly addressOf: (nodeId: string) => string | undefined;
  /** The certificates in force. */
  readonly tls: () => GrpcTls;
}

/**
 * The way to one other node: a connection when somebody needs one. After one has ended, or could not be made, calls fail at once
 * for a while that grows; the next call after that connects again, to wherever the node is by then.
 */
export class PeerLink {
  readonly nodeId: string;
  readonly #context: PeerLinkContext;
  readonly #backoff: Backoff;
  #connection: PeerConnection | undefined;
  #retryAtMs = -Infinity;
  #lastError: SluiceError | undefined;

  constructor(nodeId: string, context: PeerLinkContext) {
    this.nodeId = nodeId;
    this.#context = context;
    this.#backoff = new Backoff(context.settings.reconnect, context.random);
  }

  /** The connection that is there, made or on its way. */
  get current(): PeerConnection | undefined {
    return this.#connection;
  }

  /** The connection that is there, or a new one. @throws UNAVAILABLE */
  connection(): PeerConnection {
    if (this.#connection) return this.#connection;
    const { addressOf, clock } = this.#context;
    if (clock.monotonicMs() < this.#retryAtMs) {
      throw this.#lastError ?? new SluiceError('UNAVAILABLE', `node ${this.nodeId} cannot be reached`);
    }
    const address = addressOf(this.nodeId);
    if (address === undefined) {
      throw new SluiceError('UNAVAILABLE', `node ${this.nodeId} is not there, or not for other nodes`);
    }
    this.#connection = this.#connect(address);
    return this.#connection;
  }

  #connect(address: string): PeerConnection {
    const { cluster, settings, clock, log, counters, tls } = this.#context;
    const { nodeId } = this;
    let ready = false;
    return new PeerConnection({
      ...{ nodeId, settings, clock, counters },
      channel: {
        address,
        tls: tls(),
        check: (certificate) => checkNodeIdentity(certificate, { cluster, nodeId }),
      },
      onReady: () => {
        ready = true;
        if (reasonOf(this.#lastError) !== 'VERSION_MISMATCH')
          log.info('peer.connected', { peer: nodeId, address });
      },
      onEnd: (error) => this.#ended(error, ready),
    });
  }

  /**
   * Told once for each reason, because a node that is gone for long is dialled again and again. So is one of another version,
   * where calls may do and streams do not: that there was a connection for calls says nothing then.
   */
  #ended(error: SluiceError, wasReady: boolean): void {
    const { clock, log } = this.#context;
    const reason = reasonOf(error);
    const didWork = wasReady && reason !== 'VERSION_MISMATCH';
    if (didWork) this.#backoff.reset();
    if (didWork || reasonOf(this.#lastError) !== reason) {
      log.warn(didWork ? 'peer.disconnected' : 'peer.connect_failed', { peer: this.nodeId, error });
    }
    this.#lastError = error;
    this.#connection = undefined;
    this.#retryAtMs = clock.monotonicMs() + this.#backoff.nextMs();
  }
}

/** Why, where an error says that only in its cause. */
function reasonOf(error: SluiceError | undefined): ErrorCode | undefined {
  return error?.cause instanceof SluiceError ? error.cause.code : error?.code;
}

import type {
  Metadata,
  ServerInterceptingCallInterface,
  ServerInterceptor,
  ServerMethodDefinition,
} from '@grpc/grpc-js';
import { ServerInterceptingCall, ServerListenerBuilder } from '@grpc/grpc-js';
import type { Principal } from '../../broker/ports.ts';
import type { Clock } from '../../kernel/clock.ts';
import { SluiceError, asSluiceError } from '../../kernel/errors.ts';
import type { FailedAuthentications } from '../../security/failed-authentications.ts';
import { Slots } from '../../kernel/slots.ts';
import { ANONYMOUS } from '../../security/principal.ts';
import { errorToStatus } from '../../transport/grpc/grpc-error.ts';
import type { SecurityLog } from '../security-log.ts';
import type { GrpcCounters } from './counters.ts';
import { HeldBytes } from './held-bytes.ts';
import { OpenCall } from './open-call.ts';
import type { MessageBroker } from './ports.ts';

/** Requests that one call of health or reflection may make: their answers wait for whoever does not read them. */
const FOREIGN_REQUESTS_MAX = 1_000;
/** Bytes of messages to health and reflection that all clients together may have on their way or being answered. */
const FOREIGN_HELD_MAX_BYTES = 16 * 1024 * 1024;
/** Bytes of one message to health or reflection. */
const FOREIGN_MESSAGE_MAX_BYTES = 64 * 1024;
/** Messages of all clients that are inflated at once: each may take `maxMessageBytes` before it is counted. */
const INFLATED_AT_ONCE = 4;
/** Clients whose coming has been logged; beyond that all are forgotten. */
const KNOWN_MAX = 10_000;

/** What a guard goes by. */
export interface CallGuardOptions {
  readonly broker: Pick<MessageBroker, 'authenticate'>;
  readonly clock: Clock;
  readonly counters: GrpcCounters;
  readonly security: Pick<SecurityLog, 'note'>;
  readonly failedAuthentications: FailedAuthentications;
  /** `/package.Service/` of the service that is guarded. */
  readonly prefix: string;
  /** Bytes of messages that all clients together may have on their way or being worked on. */
  readonly maxHeldBytes: number;
  /** Largest message, bytes. */
  readonly maxMessageBytes: number;
  /** Calls of all clients at once; one more is refused with OVERLOADED. */
  readonly maxCalls: number;
}

/** Stands before all calls: nothing of a request is read before it is known who makes it, and that there is room for it. */
export class CallGuard {
  readonly #options: CallGuardOptions;
  readonly #held: HeldBytes<OpenCall>;
  readonly #open = new WeakMap<Metadata, OpenCall>();
  readonly #known = new Set<string>();
  readonly #foreign = new HeldBytes<OpenCall>(FOREIGN_HELD_MAX_BYTES);
  readonly #inflating = new Slots(INFLATED_AT_ONCE);

  constructor(options: CallGuardOptions) {
    this.#options = options;
    this.#held = new HeldBytes(options.maxHeldBytes);
  }

  /** Calls open, of all services. */
  get callCount(): number {
    return this.#held.callCount + this.#foreign.callCount;
  }

  /** Bytes of messages that have arrived and are not done with. */
  get heldBytes(): number {
    return this.#held.heldBytes;
  }

  /** For `Server`. */
  get interceptor(): ServerInterceptor {
    return (method, call) =>
      method.path.startsWith(this.#options.prefix) ? this.#guard(method, call) : this.#countForeign(call);
  }

  /** The call whose headers those are. */
  callOf(metadata: Metadata): OpenCall {
    return this.#open.get(metadata)!;
  }

  /** Ends calls of the guarded service, of one method or all. */
  endCalls(error: SluiceError, method?: string): void {
    for (const call of this.#held.calls())
      if (method === undefined || call.method === method) call.end(error);
  }

  /** Ends calls of health and reflection. */
  endForeignCalls(error: SluiceError): void {
    for (const call of this.#foreign.calls()) call.end(error);
  }

  #guard(
    { path }: ServerMethodDefinition<unknown, unknown>,
    call: ServerInterceptingCallInterface,
  ): ServerInterceptingCall {
    let open: OpenCall | undefined;
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        open = this.#admit(call, path.slice(this.#options.prefix.length), metadata);
        if (open) next(metadata);
      })
      .withOnReceiveMessage((message: Buffer, next) => open?.arrived(message.length, () => next(message)))
      .withOnCancel(() => open?.closed())
      .build();
    return new ServerInterceptingCall(call, { start: (next) => next(listener) });
  }

  #admit(call: ServerInterceptingCallInterface, method: string, metadata: Metadata): OpenCall | undefined {
    this.#options.counters.countCall(method);
    if (this.#isFull(call)) return undefined;
    const place = placeOf(call);
    let principal: Principal;
    try {
      principal = this.#identify(call, metadata, place);
    } catch (error) {
      this.#refuseStranger(call, asSluiceError(error), place);
      return undefined;
    }
    const open = new OpenCall(call, {
      clock: this.#options.clock,
      method,
      principal,
      held: this.#held,
      inflating: this.#inflating,
      counters: this.#options.counters,
      maxMessageBytes: this.#options.maxMessageBytes,
    });
    this.#open.set(metadata, open);
    return open;
  }

  /** Refuses a call when there are too many. */
  #isFull(call: ServerInterceptingCallInterface): boolean {
    if (this.callCount < this.#options.maxCalls) return false;
    this.#refuse(call, new SluiceError('OVERLOADED', `there are ${this.callCount} calls already`));
    return true;
  }

  /** @throws UNAUTHENTICATED */
  #identify(call: ServerInterceptingCallInterface, metadata: Metadata, place: string): Principal {
    const certificate = call.getAuthContext().sslPeerCertificate?.raw;
    const principal = this.#options.broker.authenticate({ token: tokenOf(metadata), certificate });
    if (principal.kind === 'anonymous') return principal;
    const who = `${place} ${principal.kind} ${principal.name}`;
    if (!this.#known.has(who)) {
      if (this.#known.size >= KNOWN_MAX) this.#known.clear();
      this.#known.add(who);
      this.#options.security.note({ kind: 'authenticated', principal, remoteAddress: place });
    }
    return { ...principal, remoteAddress: place };
  }

  /** Who guesses waits for the answer. */
  #refuseStranger(call: ServerInterceptingCallInterface, error: SluiceError, remoteAddress: string): void {
    const { failedAuthentications, security, clock } = this.#options;
    security.note({ kind: 'authentication_failed', code: error.code, remoteAddress });
    const delayMs = failedAuthentications.note(remoteAddress);
    if (delayMs === 0) this.#refuse(call, error);
    else clock.setTimer(delayMs, () => this.#refuse(call, error));
  }

  #refuse(call: ServerInterceptingCallInterface, error: SluiceError): void {
    this.#options.counters.countError(error.code);
    const { code, details, metadata } = errorToStatus(error);
    call.sendStatus({ code: code!, details: details!, metadata });
  }

  /** Health and reflection are for everybody; they are only counted, and bounded. What they are sent counts until the call is over. */
  #countForeign(call: ServerInterceptingCallInterface): ServerInterceptingCall {
    let open: OpenCall | undefined;
    let requests = 0;
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        const { clock, counters } = this.#options;
        counters.countCall('other');
        if (this.#isFull(call)) return;
        open = new OpenCall(call, {
          ...{ clock, method: 'other', principal: ANONYMOUS, counters },
          ...{ held: this.#foreign, inflating: this.#inflating },
          maxMessageBytes: FOREIGN_MESSAGE_MAX_BYTES,
        });
        next(metadata);
      })
      .withOnReceiveMessage((message, next) => {
        requests += 1;
        if (requests <= FOREIGN_REQUESTS_MAX) next(message);
        else open?.end(new SluiceError('OVERLOADED', 'too many requests in one call'));
      })
      .withOnCancel(() => open?.closed())
      .build();
    return new ServerInterceptingCall(call, { start: (next) => next(listener) });
  }
}

/** `host:port` of the caller. */
function placeOf(call: ServerInterceptingCallInterface): string {
  const { remoteAddress = 'unknown', remotePort = 0 } = call.getConnectionInfo();
  const host = remoteAddress.includes(':') ? `[${remoteAddress}]` : remoteAddress;
  return `${host}:${remotePort}`;
}

/** @throws UNAUTHENTICATED when there is something else than one bearer token */
function tokenOf(metadata: Metadata): string | undefined {
  const values = metadata.get('authorization');
  if (values.length === 0) return undefined;
  const bearer = values.length === 1 ? /^Bearer +(\S+) *$/i.exec(values[0]!.toString()) : null;
  if (bearer) return bearer[1];
  throw new SluiceError('UNAUTHENTICATED', 'the metadata `authorization` has to be `Bearer ` and a token');
}

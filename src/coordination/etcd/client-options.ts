import type { Etcd3, IOptions } from 'etcd3';
import type { Clock } from '../../kernel/clock.ts';

/** Where etcd is and who this node is to it. */
export interface EtcdAccess {
  /** `http://host:port` or `https://host:port`; all of one kind. */
  readonly endpoints: readonly string[];
  /** Authorities that etcd's certificate is checked against, PEM. Needed with https. */
  readonly caPem?: string;
  /** Certificate and key of this node, PEM; both or none. */
  readonly certificatePem?: string;
  readonly keyPem?: string;
  readonly username?: string;
  readonly password?: string;
}

/** Bounds of time, milliseconds. */
export interface EtcdTimes {
  /** For one call. */
  readonly callMs: number;
  /** For a change with all its repetitions, and for being seen. */
  readonly changeMs: number;
}

/*
 * gRPC's own defaults are for services that are always there. Reconnecting is tried at once and at least every second (default: up to two
 * minutes apart, and calls fail meanwhile); a connection that a watch hangs on is
 * noticed (default: never; etcd refuses pings less than 5 s apart, or while there is no call); each
 * service has connections of its own, so that one that hangs is not taken again; messages may be larger than 4 MiB, since etcd packs up to
 * a thousand changes into one when a watch catches up.
 */
const CHANNEL = {
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.min_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 1000,
  'grpc.keepalive_time_ms': 6000,
  'grpc.keepalive_timeout_ms': 2000,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.max_receive_message_length': 256 * 1024 * 1024,
};

type Policy = NonNullable<NonNullable<IOptions['faultHandling']>['global']>;
type CallOptions = NonNullable<Parameters<Etcd3['watchClient']['watch']>[0]>;
type Interceptor = NonNullable<CallOptions['interceptors']>[number];

/** Options of `etcd3` for a client of one endpoint that leaves repeating to its caller. */
export function clientOptions(
  endpoint: string,
  access: EtcdAccess,
  clock: Clock,
  times: EtcdTimes,
): IOptions {
  const { caPem, certificatePem, keyPem, username, password } = access;
  const credentials =
    caPem === undefined
      ? {}
      : {
          credentials: {
            rootCertificate: Buffer.from(caPem),
            ...(keyPem === undefined ? {} : { privateKey: Buffer.from(keyPem) }),
            ...(certificatePem === undefined ? {} : { certChain: Buffer.from(certificatePem) }),
          },
        };
  const policy = plainPolicy();
  const interceptors = [requireLeader as unknown as Interceptor];
  return {
    hosts: endpoint,
    ...credentials,
    ...(username === undefined ? {} : { auth: { username, password: password ?? '' } }),
    grpcOptions: CHANNEL,
    // Repeating is ours: only the caller knows what may be done twice.
    faultHandling: { global: policy, host: () => policy },
    defaultCallOptions: ({ isStream }) =>
      isStream ? { interceptors } : { interceptors, deadline: clock.now() + times.callMs },
  };
}

/**
 * Makes a member of etcd that has lost the others say so: at once to a call, and by ending a stream that would be silent else.
 * @see etcd client/v3 WithRequireLeader
 */
function requireLeader(options: unknown, nextCall: (options: unknown) => StartedCall): StartedCall {
  const call = nextCall(options);
  const start = call.start.bind(call);
  call.start = (metadata, listener) => {
    metadata.set('hasleader', 'true');
    start(metadata, listener);
  };
  return call;
}

/** Of gRPC's call as much as is needed here. */
interface StartedCall {
  start(metadata: { set(key: string, value: string): void }, listener: unknown): void;
}

const noEvent = (): { dispose: () => void } => ({ dispose: () => undefined });

/**
 * Does what it is asked, once. Else there is a circuit breaker that opens for any error, also for a full database, and then keeps the only
 * member there is from being asked for five seconds (docs/adr/0007).
 */
function plainPolicy(): Policy {
  const policy: Omit<Policy, '_altReturn'> = {
    onSuccess: noEvent,
    onFailure: noEvent,
    execute: async (work, signal = new AbortController().signal) => work({ signal }),
  };
  // What is left out is declared for the type checker only.
  return policy as Policy;
}

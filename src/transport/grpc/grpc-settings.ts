import type { ChannelOptions } from '@grpc/grpc-js';
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';

// What goes wrong comes to callers as errors; grpc-js would also write lines of its own among those of the log.
setLogVerbosity(logVerbosity.NONE);

/** What both ends of a connection keep to. */
export interface GrpcSettings {
  /** Largest message, bytes; a larger one ends its call with OVERLOADED. */
  readonly maxMessageBytes: number;
  /** Bytes that may be on their way on each stream, and on the connection, ahead of their reader. */
  readonly windowBytes: number;
  /** A PING goes out so often, milliseconds, */
  readonly keepAliveMs: number;
  /** and a connection that has not answered for so long is dead: its calls end with UNAVAILABLE. */
  readonly keepAliveTimeoutMs: number;
}

/** Options of grpc-js for either end. */
export function channelOptions(settings: GrpcSettings): ChannelOptions {
  return {
    'grpc.max_receive_message_length': settings.maxMessageBytes,
    'grpc.max_send_message_length': settings.maxMessageBytes,
    'grpc-node.flow_control_window': settings.windowBytes,
    'grpc.keepalive_time_ms': settings.keepAliveMs,
    'grpc.keepalive_timeout_ms': settings.keepAliveTimeoutMs,
    'grpc.keepalive_permit_without_calls': 1,
    'grpc.enable_channelz': 0,
    // Who calls decides whether to call again.
    'grpc.enable_retries': 0,
    // A connection belongs to one caller, who sees it end.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_http_proxy': 0,
  };
}

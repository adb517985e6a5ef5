import type { Clock } from '../../kernel/clock.ts';
import type { Random } from '../../kernel/random.ts';
import type { Transport } from '../transport.ts';
import type { ConnectionContext } from './connection.ts';
import { connect } from './connector.ts';
import { listen } from './listener.ts';
import { RepetitionBudget } from './repetition-budget.ts';
import { MAX_TURN_BYTES } from './repetition.ts';
import { SessionCache } from './session-cache.ts';
import { TurnScheduler } from './turn-scheduler.ts';

const SCRATCH_BYTES = 65_536;
const DEFAULT_MAX_ACK_DELAY_MS = 2;

/** What a QUIC transport needs, and what can be tuned. */
export interface QuicTransportOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Most milliseconds by which an acknowledgement is delayed; bounds the peer's probe timeout. Default 2. */
  readonly maxAckDelayMs?: number;
  /** Size of UDP payloads in bytes. Default: 1,350, and 16,384 between processes of one machine. */
  readonly packetBytes?: number;
  /**
   * Secret of 32 bytes for stateless resets. A listener that got the same one as another before it, on the same port, tells
   * clients of that one that their connections are gone (RFC 9000 section 10.3). Two listeners that live at the same time
   * must not share it. Default: a new one for every listener, so clients find out by their idle timeout.
   */
  readonly resetKey?: Uint8Array;
  /** Told of what a callback of a connection's owner threw; the connection is closed with INTERNAL. Default: ignored. */
  readonly onFault?: (error: unknown) => void;
}

/** QUIC (RFC 9000) on the native quiche binding and `node:dgram`, client and server. */
export function createQuicTransport(options: QuicTransportOptions): Transport {
  const context: ConnectionContext = {
    clock: options.clock,
    random: options.random,
    scheduler: new TurnScheduler(options.clock),
    scratch: Buffer.allocUnsafeSlow(SCRATCH_BYTES),
    repetitionBudget: new RepetitionBudget(options.clock, MAX_TURN_BYTES),
    onFault: options.onFault ?? (() => undefined),
  };
  const settings = {
    maxAckDelayMs: options.maxAckDelayMs ?? DEFAULT_MAX_ACK_DELAY_MS,
    packetBytes: options.packetBytes,
    resetKey: options.resetKey,
  };
  const sessions = new SessionCache();
  return {
    scheme: 'quic',
    listen: (listenOptions, onConnection) => listen(context, listenOptions, settings, onConnection),
    connect: (connectOptions) => connect(context, connectOptions, settings, sessions),
  };
}

import type { RemoteInfo } from 'node:dgram';
import type { Clock } from '../../kernel/clock.ts';
import { ERRORS, SluiceError } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import type {
  BidiStream,
  CloseReason,
  Connection,
  ConnectionStats,
  SendStream,
  Stream,
  TransportLimits,
} from '../transport.ts';
import { reasonOf } from './close-reason.ts';
import { ConnectionIds } from './connection-ids.ts';
import { Deadline } from './deadline.ts';
import { Handshake } from './handshake.ts';
import type { HostPort, NativeConnection } from './native.ts';
import { PacketSender } from './packet-sender.ts';
import { PeerAddress } from './peer-address.ts';
import type { RepetitionBudget } from './repetition-budget.ts';
import type { ResetTokens } from './stateless-reset.ts';
import { Silence } from './silence.ts';
import type { Side } from './stream.ts';
import { StreamTable } from './stream-table.ts';
import type { SendOutcome, TurnScheduler, TurnTaker } from './turn-scheduler.ts';
import type { UdpSocket } from './udp-socket.ts';

const MAX_REASON_BYTES = 256;
const UNREACHABLE_MS = 5;
/** QUIC transport error APPLICATION_ERROR. */
const APPLICATION_ERROR = 0x0c;
const NO_REASON = Buffer.alloc(0);
/** A connection that is over is looked at after this long where quiche does not say when. */
const AFTERLIFE_MS = 1_000;
/** Who sends no more than this in one turn keeps nobody waiting. */
const LITTLE_BYTES = 32 * 1024;

/** What all connections of a transport share. */
export interface ConnectionContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: TurnScheduler;
  /** Memory that every connection uses during its turn and none keeps. */
  readonly scratch: Buffer;
  readonly repetitionBudget: RepetitionBudget;
  /** Told of what callbacks of the owner threw. */
  readonly onFault: (error: unknown) => void;
}

/** Where a socket's packets find their connection, by connection id. */
export interface PacketRoutes {
  add(key: string, connection: QuicConnection): void;
  remove(key: string): void;
}

/** What makes one connection. */
export interface ConnectionSetup {
  readonly native: NativeConnection;
  readonly side: Side;
  readonly socket: UdpSocket;
  readonly remote: HostPort;
  readonly firstId: Uint8Array;
  /** Tokens for the spare ids. */
  readonly resetTokens: ResetTokens;
  readonly routes: PacketRoutes;
  readonly limits: TransportLimits;
  /** Size of the UDP payloads, bytes. */
  readonly packetBytes: number;
  /**
   * The handshake is complete. Looks at the peer's certificates and hands the connection out.
   * @returns the peer's certificate, DER
   * @throws CERTIFICATE_REJECTED
   */
  readonly verify: (native: NativeConnection) => Uint8Array | undefined;
  readonly onReady: (connection: QuicConnection) => void;
  /** Its last sign of life: `reason` is also given when it never became ready. */
  readonly onFinished: (connection: QuicConnection, reason: CloseReason, native: NativeConnection) => void;
  /** Nothing of it is needed any more. */
  readonly onDisposed: (connection: QuicConnection) => void;
}

/** One QUIC connection, either side. Driven by packets, a timer, and turns of the scheduler. */
export class QuicConnection implements Connection, TurnTaker {
  readonly side: Side;
  readonly scheme = 'quic';
  dirty = false;
  inLine = false;
  bulky = false;
  arrivalLimitBytes = Infinity;
  onDatagram: ((bytes: Buffer) => void) | undefined;
  onClose: ((reason: CloseReason) => void) | undefined;
  isAwaited: (() => boolean) | undefined;
  onSilent: (() => void) | undefined;
  peerCertificate: Uint8Array | undefined;
  readonly #context: ConnectionContext;
  readonly #setup: ConnectionSetup;
  readonly #ids: ConnectionIds;
  readonly #deadline: Deadline;
  readonly #peer: PeerAddress;
  readonly #sender: PacketSender;
  readonly #silence: Silence;
  readonly #streams: StreamTable;
  readonly #handshake: Handshake;
  #native: NativeConnection | undefined;
  #onStream: ((stream: Stream) => void) | undefined;
  #ready = false;
  #received = false;
  #receiveFailed = false;
  /** Set when this end closed; what was written before still goes out first. */
  #closing: CloseReason | undefined;
  #finished = false;
  #maxDatagramBytes = 0;
  #unreachableMs = Infinity;
  #unreachable = '';
  #lastStats: ConnectionStats = { sentBytes: 0, receivedBytes: 0 };

  constructor(context: ConnectionContext, setup: ConnectionSetup) {
    const { clock } = context;
    this.side = setup.side;
    this.#context = context;
    this.#setup = setup;
    this.#native = setup.native;
    const { routes } = setup;
    const own = { add: (key: string) => routes.add(key, this), remove: (key: string) => routes.remove(key) };
    this.#ids = new ConnectionIds(context.random, setup.resetTokens, own, setup.firstId);
    this.#deadline = new Deadline(clock, () => this.#onDue());
    this.#peer = new PeerAddress(setup.remote, setup.socket.local);
    this.#sender = new PacketSender(
      setup.socket,
      this.#peer,
      clock,
      context.repetitionBudget,
      setup.packetBytes,
    );
    this.#handshake = new Handshake(clock, setup.side, setup.limits.handshakeTimeoutMs);
    this.#silence = new Silence(clock, setup.limits.keepAliveMs, () => this.isAwaited);
    this.#streams = new StreamTable(this, context, setup.limits);
    context.scheduler.mark(this);
  }

  get remoteAddress(): string {
    return this.#peer.text;
  }

  get maxDatagramBytes(): number {
    return this.#maxDatagramBytes;
  }

  get onStream(): ((stream: Stream) => void) | undefined {
    return this.#onStream;
  }

  /** Streams that came before the owner looked wait in quiche, so setting this reads them. */
  set onStream(callback: ((stream: Stream) => void) | undefined) {
    this.#onStream = callback;
    this.#received = true;
    this.scheduleTurn();
  }

  /** The quiche connection while streams may use it. */
  get native(): NativeConnection | undefined {
    return this.#closing === undefined && !this.#finished ? this.#native : undefined;
  }

  /** Gives this connection a turn. */
  scheduleTurn(): void {
    this.#context.scheduler.mark(this);
  }

  /** Puts what quiche holds into packets now. */
  flushPackets(): void {
    if (this.#native !== undefined && this.#ready) this.#sender.send(this.#native);
  }

  openBidi(): BidiStream {
    return this.#streams.openBidi(this.#open());
  }

  openUni(): SendStream {
    return this.#streams.openUni(this.#open());
  }

  sendDatagram(bytes: Uint8Array): boolean {
    const { native } = this;
    if (native === undefined || !this.#ready) return false;
    if (bytes.byteLength > this.#maxDatagramBytes || native.isDgramSendQueueFull()) return false;
    try {
      native.dgramSend(bytes);
    } catch {
      return false;
    }
    this.scheduleTurn();
    return true;
  }

  stats(): ConnectionStats {
    if (this.#native !== undefined && !this.#finished) this.#lastStats = readStats(this.#native);
    return this.#lastStats;
  }

  close(errorCode: number, reason: string): void {
    if (this.#closing !== undefined || this.#finished) return;
    this.#closing = { errorCode, reason, by: 'local' };
    this.scheduleTurn();
  }

  /** Ends the connection because of the transport itself, not of the owner: handshake, certificate, network. */
  fail(code: keyof typeof ERRORS, reason: string): void {
    if (this.#closing !== undefined || this.#finished) return;
    this.#closing = { errorCode: ERRORS[code].wire, reason, by: 'transport' };
    this.scheduleTurn();
  }

  /**
   * The network says that the peer cannot be reached (ICMP). Believed only if nothing arrives for a moment: the system
   * reports it ahead of packets that wait in the socket, and among them may be the peer's last words.
   */
  unreachable(reason: string): void {
    if (this.#unreachableMs !== Infinity) return;
    this.#unreachable = reason;
    this.#unreachableMs = this.#context.clock.monotonicMs() + UNREACHABLE_MS;
    this.scheduleTurn();
  }

  /** A datagram from the network for this connection. */
  receive(packet: Buffer, from: RemoteInfo): void {
    const native = this.#native;
    if (native === undefined) return;
    if (this.#finished) {
      this.#sender.repeatClose();
      return;
    }
    this.#unreachableMs = Infinity;
    this.arrivalLimitBytes -= packet.length;
    if (this.arrivalLimitBytes < 0) {
      this.fail('OVERLOADED', 'more than is taken from a client that has not said who it is');
      return;
    }
    try {
      native.recv(packet, this.#peer.receivedFrom(from));
    } catch {
      // quiche has closed the connection for a packet that was authentic and wrong; others it drops without a word.
      this.#receiveFailed = true;
    }
    this.#received = true;
    this.#silence.heard();
    this.scheduleTurn();
  }

  /** A whole turn at once, for who cannot wait for the scheduler. */
  turn(): void {
    this.takeIn();
    this.sendOut();
  }

  takeIn(): void {
    const native = this.#native;
    if (native === undefined || this.#finished || !this.#received) return;
    try {
      this.#takeIn(native);
    } catch (error) {
      this.#fault(error);
    }
  }

  sendOut(): SendOutcome {
    const native = this.#native;
    if (native === undefined) return 'little';
    if (this.#finished) {
      if (native.isClosed()) this.dispose();
      else this.#arm(native);
      return 'little';
    }
    try {
      if (this.#ready) this.#streams.handOver(native, this.#sender.budgetBytes);
    } catch (error) {
      this.#fault(error);
    }
    const more = this.#sender.send(native);
    if (this.#isOver(native)) return 'little';
    this.#arm(native);
    if (more || this.#received || this.#streams.busy) return 'more';
    return this.#sender.turnBytes > LITTLE_BYTES ? 'much' : 'little';
  }

  /** Frees everything at once, without waiting for packets that may still come. */
  dispose(): void {
    if (this.#native === undefined) return;
    this.#deadline.clear();
    this.#ids.removeAll();
    this.#native = undefined;
    this.#setup.onDisposed(this);
  }

  #fault(error: unknown): void {
    this.#context.onFault(error);
    this.#closing ??= { errorCode: ERRORS.INTERNAL.wire, reason: 'internal error', by: 'local' };
  }

  #open(): NativeConnection {
    const { native } = this;
    if (native === undefined)
      throw new SluiceError('CLOSED', `the connection to ${this.remoteAddress} is closed`);
    return native;
  }

  #takeIn(native: NativeConnection): void {
    this.#received = false;
    if (!this.#ready) this.#shakeHands(native);
    if (!this.#ready || this.#closing !== undefined) return;
    this.#ids.refresh(native);
    this.#peer.followPath(native);
    this.#streams.read(native);
    this.#readDatagrams(native);
    this.#streams.packetsArrived(native);
  }

  #shakeHands(native: NativeConnection): void {
    if (!this.#handshake.isComplete(native)) return;
    try {
      this.peerCertificate = this.#setup.verify(native);
    } catch (error) {
      this.fail('CERTIFICATE_REJECTED', error instanceof Error ? error.message : String(error));
      return;
    }
    this.#ready = true;
    this.#sender.protect();
    this.#maxDatagramBytes = native.dgramMaxWritableLen() ?? 0;
    this.#setup.onReady(this);
  }

  #readDatagrams(native: NativeConnection): void {
    const { scratch } = this.#context;
    for (;;) {
      const length = native.dgramRecv(scratch);
      if (length === null) return;
      if (this.#closing === undefined) this.onDatagram?.(scratch.subarray(0, length));
    }
  }

  /** Looks whether the connection ended, and if so tells everybody. @returns whether it did */
  #isOver(native: NativeConnection): boolean {
    if (this.#closing !== undefined) {
      this.#sendClose(native, this.#closing);
      this.#finish(this.#closing, native);
    } else if (
      native.isClosed() ||
      native.isDraining() ||
      (this.#receiveFailed && native.localError() !== null)
    ) {
      this.#finish(reasonOf(native, this.#ready), native);
    } else {
      this.#receiveFailed = false;
      return false;
    }
    // After the peer's close nothing may be sent any more; after ours, late packets are answered with it for a while.
    if (native.isClosed() || native.isDraining()) this.dispose();
    else this.#arm(native);
    return true;
  }

  #sendClose(native: NativeConnection, reason: CloseReason): void {
    const text = Buffer.from(reason.reason).subarray(0, MAX_REASON_BYTES);
    try {
      // Before the handshake is complete the peer may read no application's code: RFC 9000 section 10.2.3.
      if (native.isEstablished()) native.close(true, reason.errorCode, text);
      else native.close(false, APPLICATION_ERROR, NO_REASON);
    } catch {
      // It has ended already, by itself or by the peer.
    }
    this.#sender.sendClose(native);
  }

  #finish(reason: CloseReason, native: NativeConnection): void {
    this.#finished = true;
    this.#lastStats = readStats(native);
    this.#setup.onFinished(this, reason, native);
    this.#streams.endAll(reason.errorCode === 0 ? ERRORS.CLOSED.wire : reason.errorCode);
    if (!this.#ready) return;
    try {
      this.onClose?.(reason);
    } catch (error) {
      this.#context.onFault(error);
    }
  }

  #arm(native: NativeConnection): void {
    const timeoutMs = native.timeout();
    this.#sender.settle(timeoutMs);
    if (this.#sender.turnBytes > 0 && timeoutMs !== null) this.#silence.sent(timeoutMs);
    const nowMs = this.#context.clock.monotonicMs();
    // quiche cuts the fraction off: wait one millisecond more, or the timer comes too early and again.
    let dueMs = timeoutMs === null ? Infinity : nowMs + timeoutMs + 1;
    if (this.#finished) {
      if (timeoutMs === null) dueMs = nowMs + AFTERLIFE_MS;
    } else if (this.#ready) {
      dueMs = Math.min(
        dueMs,
        this.#streams.dueMs,
        this.#sender.resumeMs,
        this.#sender.repeatDueMs,
        this.#silence.dueMs(this.#sender.lastSentMs),
      );
    } else {
      dueMs = Math.min(dueMs, this.#handshake.wakeMs);
    }
    if (!this.#finished) dueMs = Math.min(dueMs, this.#unreachableMs);
    this.#deadline.set(dueMs);
  }

  #onDue(): void {
    const native = this.#native;
    if (native === undefined) return;
    const nowMs = this.#context.clock.monotonicMs();
    const timeoutMs = native.timeout();
    if (timeoutMs !== null && timeoutMs <= 0) {
      native.onTimeout();
      this.#sender.suspectLoss();
      if (this.#silence.unanswered()) native.sendAckEliciting();
    }
    if (this.#finished) {
      if (timeoutMs === null) this.dispose();
    } else if (this.#ready) {
      this.#askForSign(native, nowMs);
      this.#sender.repeat(native);
      this.#streams.timePassed(native);
      if (this.#silence.look()) this.#tellSilent();
    } else {
      this.#received = true;
      if (this.#handshake.isLate(nowMs)) this.fail('TIMEOUT', 'the handshake took too long');
    }
    if (nowMs >= this.#unreachableMs) this.fail('CONNECT_FAILED', this.#unreachable);
    this.scheduleTurn();
  }

  #askForSign(native: NativeConnection, nowMs: number): void {
    const { lastSentMs } = this.#sender;
    if (!this.#silence.wantsSign(lastSentMs)) return;
    // Counted from here even if nothing can be sent now, or the timer would come again at once.
    this.#sender.lastSentMs = nowMs;
    native.sendAckEliciting();
  }

  #tellSilent(): void {
    try {
      this.onSilent?.();
    } catch (error) {
      this.#fault(error);
    }
  }
}

function readStats(native: NativeConnection): ConnectionStats {
  const { sentBytes, recvBytes, lost } = native.stats();
  const path = native.pathStats().find((candidate) => candidate.active);
  const counters = { sentBytes, receivedBytes: recvBytes, lostPackets: lost };
  return path === undefined ? counters : { ...counters, rttMs: path.rtt, congestionWindowBytes: path.cwnd };
}

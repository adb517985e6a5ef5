import type { Clock } from '../../kernel/clock.ts';
import { FlightLimit } from './flight-limit.ts';
import type { HostPort, NativeConnection } from './native.ts';
import type { PeerAddress } from './peer-address.ts';
import type { RepetitionBudget } from './repetition-budget.ts';
import { Repetition } from './repetition.ts';
import type { UdpSocket } from './udp-socket.ts';

/**
 * Packets of one connection per turn. There is no pacing (the binding does not show quiche's send times), and whole windows
 * at once overflow socket buffers; this many at a time do not, and other connections get their turn in between.
 */
const MAX_PACKETS_PER_TURN = 64;
/** And bytes: what became urgent meanwhile goes out after so much of the rest at the latest. */
const MAX_BYTES_PER_TURN = 256 * 1024;
/** Packets that a repeated CONNECTION_CLOSE must wait for: 1, 2, 4, …; see RFC 9000 section 10.2.1. */
const CLOSE_BACKOFF = 2;

/** Takes packets out of quiche and puts them on the wire. */
export class PacketSender {
  /** When the last packet went out, monotonic milliseconds. */
  lastSentMs: number;
  /** Bytes of the packets of the last turn. */
  turnBytes = 0;
  readonly #socket: UdpSocket;
  readonly #peer: PeerAddress;
  readonly #clock: Clock;
  readonly #packetBytes: number;
  readonly #packetsPerTurn: number;
  readonly #flight: FlightLimit;
  readonly #repetition: Repetition;
  #closePacket: Buffer | undefined;
  #packetsSinceClose = 0;
  #closeAfter = 1;
  /** When to look again whether the kernel takes packets. */
  #heldMs = Infinity;

  constructor(
    socket: UdpSocket,
    peer: PeerAddress,
    clock: Clock,
    budget: RepetitionBudget,
    packetBytes: number,
  ) {
    this.#socket = socket;
    this.#peer = peer;
    this.#clock = clock;
    this.#packetBytes = packetBytes;
    this.#packetsPerTurn = Math.min(MAX_PACKETS_PER_TURN, Math.ceil(MAX_BYTES_PER_TURN / packetBytes));
    this.#flight = new FlightLimit(clock);
    this.#repetition = new Repetition(clock, budget);
    this.lastSentMs = clock.monotonicMs();
  }

  /** Bytes that one turn's packets can carry. */
  get budgetBytes(): number {
    return this.#packetsPerTurn * this.#packetBytes;
  }

  /** Sends what quiche has, up to a turn's worth. @returns whether there may be more */
  send(native: NativeConnection): boolean {
    const allowance = this.#flight.allowance(native);
    let packets = 0;
    let bytes = 0;
    this.#heldMs = Infinity;
    this.#repetition.begin();
    while (packets < this.#packetsPerTurn && bytes < allowance) {
      if (this.#socket.congested) {
        this.#heldMs = this.#clock.monotonicMs() + 1;
        break;
      }
      const length = this.#sendOne(native);
      if (length === 0) break;
      packets += 1;
      bytes += length;
    }
    if (packets > 0) {
      this.lastSentMs = this.#clock.monotonicMs();
      this.#flight.sent(bytes + this.#repetition.end(native, this.lastSentMs, this.#sendCopy));
    }
    this.turnBytes = bytes;
    return packets === this.#packetsPerTurn;
  }

  /** Sends the packet that closes the connection, and keeps it for peers that missed it. */
  sendClose(native: NativeConnection): void {
    for (let packets = 0; packets < MAX_PACKETS_PER_TURN; packets += 1) {
      const buffer = this.#socket.buffer;
      const length = this.#sendOne(native);
      if (length === 0) return;
      this.#closePacket = Buffer.from(buffer.subarray(0, length));
    }
  }

  /** Answers a packet that came after the close, less and less often. */
  repeatClose(): void {
    if (this.#closePacket === undefined) return;
    this.#packetsSinceClose += 1;
    if (this.#packetsSinceClose < this.#closeAfter) return;
    this.#packetsSinceClose = 0;
    this.#closeAfter *= CLOSE_BACKOFF;
    this.#closePacket.copy(this.#socket.buffer);
    this.#socket.send(this.#closePacket.length, this.#peer.last);
  }

  /** When packets that were held back may go out, monotonic milliseconds; see {@link FlightLimit}. */
  get resumeMs(): number {
    return Math.min(this.#heldMs, this.#flight.resumeMs);
  }

  /** When {@link repeat} is to be called, monotonic milliseconds. */
  get repeatDueMs(): number {
    return this.#repetition.dueMs;
  }

  /** Repeats what is due; see {@link Repetition}. */
  repeat(native: NativeConnection): void {
    this.#flight.sent(this.#repetition.repeat(native, this.#sendCopy));
  }

  /** The handshake is complete: from here on small packets are protected against loss; see {@link Repetition}. */
  protect(): void {
    this.#repetition.protect();
  }

  /** Forgets copies that are not needed any more. @param timeoutMs until quiche's next timer, null for none */
  settle(timeoutMs: number | null): void {
    this.#repetition.settle(timeoutMs);
  }

  /** A timer of quiche for lost packets ran out. */
  suspectLoss(): void {
    this.#repetition.suspect();
  }

  /** @returns bytes sent, 0 when quiche has nothing */
  #sendOne(native: NativeConnection): number {
    let result;
    try {
      result = native.send(this.#socket.buffer);
    } catch {
      // Nothing can be sent in this state; quiche closes by its timer.
      return 0;
    }
    if (result === null) return 0;
    const { buffer } = this.#socket;
    const to = this.#peer.sendTo(result[1].to);
    this.#socket.send(result[0], to);
    this.#repetition.sent(buffer, result[0], to);
    return result[0];
  }

  readonly #sendCopy = (packet: Uint8Array, to: HostPort): void => {
    this.#socket.buffer.set(packet);
    this.#socket.send(packet.length, to);
  };
}

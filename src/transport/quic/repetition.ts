import type { Clock } from '../../kernel/clock.ts';
import type { HostPort, NativeConnection } from './native.ts';

/** quiche is asked for lost packets after so many packets, and no more often than this: it takes about 5 µs. */
const LOOK_PACKETS = 8;
const LOOK_MS = 100;
/** Packets are repeated for so long after one was lost. What arrives by repetition is not lost, so this sets how often one is. */
const LOSSY_MS = 30_000;
/** A second copy follows after this, unless everything is acknowledged by then. */
const SECOND_MS = 1;
/** A turn of more is not repeated: what follows its lost packets reveals them soon enough. */
const MAX_TURN_BYTES = 4 * 1024;
/** Copies per second: a megabit, so that repeating does no harm where packets are lost for want of room. */
const MAX_BYTES_PER_SECOND = 128 * 1024;
/** While something is not acknowledged, quiche has a timer of about a round trip; otherwise only the idle timeout, of seconds. */
const UNACKNOWLEDGED_MS = 1_000;

/** Puts a packet on the wire. */
export type SendPacket = (packet: Uint8Array, to: HostPort) => void;

/**
 * Repeats the packets of small turns while the connection loses packets: once immediately, and once more after a millisecond if nothing
 * acknowledges them. A record that is alone on its way has nothing behind it that would reveal its loss, so without this it waits for a
 * probe timeout, and what follows on its stream waits with it.
 *
 * A copy has the number of its packet, as if the network had duplicated it, and the peer drops the second of the two before it looks inside
 * (RFC 9000 section 12.3). Where nothing is lost, nothing is kept and nothing repeated.
 */
export class Repetition {
  /** When {@link repeat} is to be called, monotonic milliseconds; Infinity when nothing is kept. */
  dueMs = Infinity;
  readonly #clock: Clock;
  #lossyUntilMs = -Infinity;
  #lostPackets = 0;
  #lookedMs = -Infinity;
  #packetsSinceLook = 0;
  /** Packets one after the other; `#ends` are where each one ends. Allocated when it is needed first. */
  #kept: Buffer | undefined;
  #ends: number[] = [];
  /** How many of them belong to turns before this one. */
  #olderPackets = 0;
  #to: HostPort | undefined;
  #isTooMuch = false;
  #secondStartMs = -Infinity;
  #secondBytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A turn begins. */
  begin(): void {
    this.#olderPackets = this.#ends.length;
    this.#isTooMuch = false;
  }

  /** A packet of this turn went out. The bytes are copied if they are needed. */
  sent(buffer: Uint8Array, length: number, to: HostPort): void {
    this.#packetsSinceLook += 1;
    if (this.#lossyUntilMs === -Infinity || this.#isTooMuch) return;
    const start = this.#ends.at(-1) ?? 0;
    if (start + length > MAX_TURN_BYTES) {
      this.#isTooMuch = true;
      this.#ends.length = this.#olderPackets;
      return;
    }
    this.#kept ??= Buffer.allocUnsafeSlow(MAX_TURN_BYTES);
    this.#kept.set(buffer.subarray(0, length), start);
    this.#ends.push(start + length);
    this.#to = to;
  }

  /** The turn is over: sends the first copies. @returns bytes of them */
  end(native: NativeConnection, nowMs: number, send: SendPacket): number {
    if (this.#packetsSinceLook >= LOOK_PACKETS && nowMs >= this.#lookedMs + LOOK_MS)
      this.#look(native, nowMs);
    if (this.#ends.length === this.#olderPackets) return 0;
    if (!isUnacknowledged(native)) {
      this.#forget();
      return 0;
    }
    this.dueMs = Math.min(this.dueMs, nowMs + SECOND_MS);
    return this.#sendFrom(this.#olderPackets, nowMs, send);
  }

  /** Sends the second copies when they are due. @returns bytes of them */
  repeat(native: NativeConnection, send: SendPacket): number {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.dueMs) return 0;
    const bytes = isUnacknowledged(native) ? this.#sendFrom(0, nowMs, send) : 0;
    this.#forget();
    return bytes;
  }

  /** A timer for lost packets ran out: worth a look. */
  suspect(): void {
    this.#packetsSinceLook = LOOK_PACKETS;
  }

  #look(native: NativeConnection, nowMs: number): void {
    this.#lookedMs = nowMs;
    this.#packetsSinceLook = 0;
    const { lost } = native.stats();
    if (lost > this.#lostPackets) this.#lossyUntilMs = nowMs + LOSSY_MS;
    else if (nowMs >= this.#lossyUntilMs) this.#lossyUntilMs = -Infinity;
    this.#lostPackets = lost;
  }

  #sendFrom(first: number, nowMs: number, send: SendPacket): number {
    if (nowMs >= this.#secondStartMs + 1_000) {
      this.#secondStartMs = nowMs;
      this.#secondBytes = 0;
    }
    let bytes = 0;
    for (let index = first; index < this.#ends.length; index += 1) {
      const packet = this.#kept!.subarray(index === 0 ? 0 : this.#ends[index - 1]!, this.#ends[index]);
      if (this.#secondBytes + packet.length > MAX_BYTES_PER_SECOND) break;
      this.#secondBytes += packet.length;
      bytes += packet.length;
      send(packet, this.#to!);
    }
    return bytes;
  }

  #forget(): void {
    this.dueMs = Infinity;
    this.#ends.length = 0;
    this.#olderPackets = 0;
  }
}

function isUnacknowledged(native: NativeConnection): boolean {
  const timeoutMs = native.timeout();
  return timeoutMs !== null && timeoutMs < UNACKNOWLEDGED_MS;
}

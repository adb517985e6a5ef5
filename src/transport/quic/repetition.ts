import type { Clock } from '../../kernel/clock.ts';
import type { HostPort, NativeConnection } from './native.ts';
import type { RepetitionBudget } from './repetition-budget.ts';

/** quiche is asked for lost packets after so many packets, and no more often than this: it takes about 5 µs. */
const LOOK_PACKETS = 8;
const LOOK_MS = 100;
/** A connection counts as lossy for so long after a packet was lost. What arrives by repetition is not lost, so this sets how often one is. */
const LOSSY_MS = 30_000;
/** A copy follows after this, unless everything is acknowledged by then. */
const COPY_MS = 1;
/** Smaller packets have no record in them; where nothing is lost they are not worth a copy: acknowledgements, signs of life. */
const MIN_RECORD_PACKET_BYTES = 64;
/** A turn of more is not repeated: what follows its lost packets reveals them soon enough. */
export const MAX_TURN_BYTES = 4 * 1024;
/** Copies per second: a megabit, so that repeating does no harm where packets are lost for want of room. */
const MAX_BYTES_PER_SECOND = 128 * 1024;
/** Who sends more packets in a second repeats none of them until it loses some. */
const MAX_SLOW_PACKETS = 1_000;
/** While something is not acknowledged, quiche has a timer of about a round trip; otherwise only the idle timeout, of seconds. */
const UNACKNOWLEDGED_MS = 1_000;
/** With a timer of more for lost packets, no acknowledgement comes within {@link COPY_MS}, and waiting for one is in vain. */
const FAR_MS = 8;

/** Puts a packet on the wire. */
export type SendPacket = (packet: Uint8Array, to: HostPort) => void;

/**
 * Repeats the packets of small turns. A record that is alone on its way has nothing behind it that would reveal its loss, so without this it
 * waits for a probe timeout, and what follows on its stream waits with it.
 *
 *     loses packets        a copy at once, and one after a millisecond unless all is acknowledged by then
 *     loses none, is near  one after a millisecond, unless all is acknowledged by then: as a rule it is
 *     loses none, is far   a copy at once
 *     loses none, is fast  nothing
 *
 * A copy has the number of its packet, as if the network had duplicated it, and the peer drops the second of the two before it looks inside
 * (RFC 9000 section 12.3). See docs/adr/0010-repeated-packets.md.
 */
export class Repetition {
  /** When {@link repeat} is to be called, monotonic milliseconds; Infinity when nothing is kept. */
  dueMs = Infinity;
  readonly #clock: Clock;
  readonly #budget: RepetitionBudget;
  #isProtecting = false;
  #lossyUntilMs = -Infinity;
  #lostPackets = 0;
  #lookedMs = -Infinity;
  #packetsSinceLook = 0;
  /** Packets one after the other; `#ends` are where each one ends. Lent while there are any. */
  #kept: Buffer | undefined;
  #ends: number[] = [];
  /** How many of them belong to turns before this one. */
  #olderPackets = 0;
  #to: HostPort | undefined;
  #isTooMuch = false;
  #secondStartMs = -Infinity;
  #copiedBytes = 0;
  #sentPackets = 0;
  #isFast = false;

  /** @param budget lends buffers of {@link MAX_TURN_BYTES} */
  constructor(clock: Clock, budget: RepetitionBudget) {
    this.#clock = clock;
    this.#budget = budget;
  }

  /** From here on packets are repeated even if none was lost. Not in a handshake, whose bytes are counted until the address is proven. */
  protect(): void {
    this.#isProtecting = true;
  }

  /** A turn begins. */
  begin(): void {
    this.#olderPackets = this.#ends.length;
    this.#isTooMuch = !this.#isLossy && (!this.#isProtecting || this.#isFast);
  }

  /** A packet of this turn went out. The bytes are copied if they are needed. */
  sent(buffer: Uint8Array, length: number, to: HostPort): void {
    this.#packetsSinceLook += 1;
    this.#sentPackets += 1;
    if (this.#isTooMuch || (length < MIN_RECORD_PACKET_BYTES && !this.#isLossy)) return;
    const start = this.#ends.at(-1) ?? 0;
    if (start + length > MAX_TURN_BYTES) {
      this.#isTooMuch = true;
      this.#ends.length = this.#olderPackets;
      return;
    }
    this.#kept ??= this.#budget.lend();
    this.#kept.set(buffer.subarray(0, length), start);
    this.#ends.push(start + length);
    this.#to = to;
  }

  /** The turn is over: sends the copies that go out at once. @returns bytes of them */
  end(native: NativeConnection, nowMs: number, send: SendPacket): number {
    this.#passTime(nowMs);
    if (this.#packetsSinceLook >= LOOK_PACKETS && nowMs >= this.#lookedMs + LOOK_MS)
      this.#look(native, nowMs);
    if (this.#ends.length === this.#olderPackets) return 0;
    const timeoutMs = native.timeout();
    this.settle(timeoutMs);
    if (this.#ends.length === 0) return 0;
    const isFar = timeoutMs !== null && timeoutMs > FAR_MS;
    const bytes = this.#isLossy || isFar ? this.#sendFrom(this.#olderPackets, send) : 0;
    if (this.#isLossy || !isFar) this.dueMs = Math.min(this.dueMs, nowMs + COPY_MS);
    else this.#dropTurn();
    return bytes;
  }

  /** Sends the copies that were to wait, when they are due. @returns bytes of them */
  repeat(native: NativeConnection, send: SendPacket): number {
    if (this.#clock.monotonicMs() < this.dueMs) return 0;
    this.settle(native.timeout());
    const bytes = this.#sendFrom(0, send);
    this.#forget();
    return bytes;
  }

  /** Forgets what was kept if all is acknowledged. @param timeoutMs until quiche's next timer, null for none */
  settle(timeoutMs: number | null): void {
    if (timeoutMs === null || timeoutMs >= UNACKNOWLEDGED_MS) this.#forget();
  }

  /** A timer for lost packets ran out: worth a look. */
  suspect(): void {
    this.#packetsSinceLook = LOOK_PACKETS;
  }

  get #isLossy(): boolean {
    return this.#lossyUntilMs !== -Infinity;
  }

  #look(native: NativeConnection, nowMs: number): void {
    this.#lookedMs = nowMs;
    this.#packetsSinceLook = 0;
    const { lost } = native.stats();
    if (lost > this.#lostPackets) this.#lossyUntilMs = nowMs + LOSSY_MS;
    else if (nowMs >= this.#lossyUntilMs) this.#lossyUntilMs = -Infinity;
    this.#lostPackets = lost;
  }

  #passTime(nowMs: number): void {
    const elapsedMs = nowMs - this.#secondStartMs;
    if (elapsedMs >= 1_000) {
      this.#isFast = this.#sentPackets * 1_000 > MAX_SLOW_PACKETS * elapsedMs;
      this.#secondStartMs = nowMs;
      this.#sentPackets = 0;
      this.#copiedBytes = 0;
    } else if (this.#sentPackets > MAX_SLOW_PACKETS) this.#isFast = true;
  }

  #sendFrom(first: number, send: SendPacket): number {
    let bytes = 0;
    for (let index = first; index < this.#ends.length; index += 1) {
      const packet = this.#kept!.subarray(index === 0 ? 0 : this.#ends[index - 1]!, this.#ends[index]);
      if (this.#copiedBytes + packet.length > MAX_BYTES_PER_SECOND) break;
      if (!this.#isLossy && !this.#budget.take()) break;
      this.#copiedBytes += packet.length;
      bytes += packet.length;
      send(packet, this.#to!);
    }
    return bytes;
  }

  /** Forgets the packets of this turn. */
  #dropTurn(): void {
    this.#ends.length = this.#olderPackets;
    if (this.#ends.length === 0) this.#forget();
  }

  #forget(): void {
    this.dueMs = Infinity;
    this.#ends.length = 0;
    this.#olderPackets = 0;
    if (this.#kept === undefined) return;
    this.#budget.takeBack(this.#kept);
    this.#kept = undefined;
  }
}

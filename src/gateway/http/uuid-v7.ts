import type { Clock } from '../../kernel/clock.ts';
import type { Random } from '../../kernel/random.ts';

/** A UUID whose text sorts by the time it was made, to the millisecond. @see RFC 9562 section 5.7 */
export function uuidV7(clock: Pick<Clock, 'now'>, random: Pick<Random, 'bytes'>): string {
  const bytes = random.bytes(16);
  bytes.writeUIntBE(Math.floor(clock.now()), 0, 6);
  bytes[6] = 0x70 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

import { z } from 'zod';
import type { Random } from '../kernel/random.ts';

const BYTES = 32;

/** A {@link Coordinator.producerKey} as it is stored: hexadecimal. */
export const producerKeySchema = z.string().regex(/^[0-9a-f]{64}$/);

/** A new key, as it is stored. */
export function newProducerKey(random: Random): string {
  return random.bytes(BYTES).toString('hex');
}

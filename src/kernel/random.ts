import { randomBytes, randomUUID } from 'node:crypto';

/** Randomness as a port, so that the simulator can replay a run from its seed. */
export interface Random {
  /** `length` unpredictable bytes. */
  bytes(length: number): Buffer;
  /** A number in [0, 1). */
  fraction(): number;
  /** A UUID in its usual text form. */
  uuid(): string;
}

/** The machine's own randomness: the only place that touches it. */
export const systemRandom: Random = {
  bytes: (length) => randomBytes(length),
  fraction: () => Math.random(),
  uuid: () => randomUUID(),
};

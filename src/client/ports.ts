import type { Clock } from '../kernel/clock.ts';
import type { Random } from '../kernel/random.ts';
import { systemRandom } from '../kernel/random.ts';
import { holdProcess, systemClock } from '../kernel/system-clock.ts';

/** What the SDK needs of its surroundings; tests bring their own. */
export interface ClientPorts {
  readonly clock: Clock;
  readonly random: Random;
  /** Keeps the process alive until the returned function is called: an open client is something to wait for. */
  readonly hold: () => () => void;
}

/** The machine's own time and randomness. */
export const SYSTEM_PORTS: ClientPorts = { clock: systemClock, random: systemRandom, hold: holdProcess };

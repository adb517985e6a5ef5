import type { Clock } from '../kernel/clock.ts';

/** A credential that is no longer good keeps its connection at most this long. */
const CHECK_MS = 1000;

/** Somebody whose credential may stop being good. */
export interface CredentialHolder {
  /** Looks whether it still is. */
  checkCredential(): void;
}

/**
 * Has the credentials of open connections looked at once a second: a token may be revoked, here or on another node, or expire.
 * One timer for all, and only while there is somebody to look after.
 */
export class CredentialWatch {
  readonly #clock: Clock;
  readonly #holders = new Set<CredentialHolder>();
  #armed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Looks after `holder` from now on. Idempotent. */
  add(holder: CredentialHolder): void {
    this.#holders.add(holder);
    this.#arm();
  }

  /** Its connection is gone, or it has another credential. Idempotent. */
  delete(holder: CredentialHolder): void {
    this.#holders.delete(holder);
  }

  #arm(): void {
    if (this.#armed || this.#holders.size === 0) return;
    this.#armed = true;
    this.#clock.setTimer(CHECK_MS, () => {
      this.#armed = false;
      for (const holder of this.#holders) holder.checkCredential();
      this.#arm();
    });
  }
}

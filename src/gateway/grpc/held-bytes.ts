import { SluiceError } from '../../kernel/errors.ts';

/** What one call holds of the gateway's memory: messages that have arrived in part, those that are being worked on, answers. */
export interface HoldsBytes {
  readonly heldBytes: number;
  /** Ends the call at once, and gives up what it holds, answers too. */
  drop(error: SluiceError): void;
}

/** Bounds what all calls together hold: when it is too much, the call that holds most of it ends. */
export class HeldBytes<Call extends HoldsBytes> {
  readonly #limitBytes: number;
  readonly #calls = new Set<Call>();
  /** Of all calls. */
  heldBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Calls open. */
  get callCount(): number {
    return this.#calls.size;
  }

  add(call: Call): void {
    this.#calls.add(call);
  }

  delete(call: Call): void {
    this.#calls.delete(call);
  }

  /** All calls; a copy, because calls that are ended leave. */
  calls(): Call[] {
    return [...this.#calls];
  }

  /** A call holds so much more, or less. */
  changed(bytes: number): void {
    this.heldBytes += bytes;
    while (this.heldBytes > this.#limitBytes) {
      const most = this.#largest();
      if (!most) return;
      most.drop(
        new SluiceError(
          'OVERLOADED',
          'unfinished messages and answers not taken, of all clients, are too much, and yours the most',
        ),
      );
    }
  }

  #largest(): Call | undefined {
    let largest: Call | undefined;
    for (const call of this.#calls) {
      if (call.heldBytes > (largest?.heldBytes ?? 0)) largest = call;
    }
    return largest;
  }
}

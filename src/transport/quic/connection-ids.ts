import type { Random } from '../../kernel/random.ts';
import { CID_BYTES } from './native.ts';
import type { NativeConnection } from './native.ts';
import { cidKey } from './packet-header.ts';
import type { ResetTokens } from './stateless-reset.ts';

/** Where packets find their connection; a client's socket has a single connection and needs none. */
export interface CidRoutes {
  add(key: string): void;
  remove(key: string): void;
}

/** The connection ids under which the peer reaches this connection: the first one and spares for a change of address. */
export class ConnectionIds {
  readonly #random: Random;
  readonly #resetTokens: ResetTokens;
  readonly #routes: CidRoutes;
  readonly #keys = new Set<string>();

  constructor(random: Random, resetTokens: ResetTokens, routes: CidRoutes, first: Uint8Array) {
    this.#random = random;
    this.#resetTokens = resetTokens;
    this.#routes = routes;
    this.#add(cidKey(first));
  }

  /** Gives the peer as many spare ids as it wants, and forgets those it retired. */
  refresh(native: NativeConnection): void {
    for (;;) {
      const retired = native.retiredScidNext();
      if (retired === null) break;
      this.#remove(cidKey(retired));
    }
    while (native.sourceCidsLeft() > 0) {
      const cid = this.#random.bytes(CID_BYTES);
      try {
        native.newSourceCid(cid, this.#resetTokens.numberOf(cid), false);
      } catch {
        return;
      }
      this.#add(cidKey(cid));
    }
  }

  /** Takes every id out of the routes. */
  removeAll(): void {
    for (const key of [...this.#keys]) this.#remove(key);
  }

  #add(key: string): void {
    this.#keys.add(key);
    this.#routes.add(key);
  }

  #remove(key: string): void {
    if (this.#keys.delete(key)) this.#routes.remove(key);
  }
}

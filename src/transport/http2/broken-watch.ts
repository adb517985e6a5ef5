import type { TLSSocket } from 'node:tls';
import type { Clock, Timer } from '../../kernel/clock.ts';

/** How often it is looked whether a connection on which something was written is still one, milliseconds. */
const LOOK_MS = 1_000;

/** What is watched, and who is told. */
export interface BrokenWatchOptions {
  readonly socket: Pick<TLSSocket, 'bytesWritten'>;
  readonly clock: Clock;
  /** What the operating system says of the connection: {@link isBroken}. */
  readonly isBroken: () => boolean;
  /** It has been ended, and nobody will say so; called once, and nothing is watched after that. */
  readonly onBroken: () => void;
}

/**
 * Finds out that the connection was reset (the other process was killed, say) where Node does not.
 *
 * Node's HTTP/2 reads nothing from the socket while a write is under way, and does not look at how a write went. TLS, once a
 * write has failed, takes the next one and never comes back to it. So when a reset is met by a write, and there is more to
 * write or to read still, the socket is never read again: neither its end nor an error is told, and its streams stay.
 *
 * It takes a write to get there, and the system knows of the reset before it: who looks after the last write sees it.
 *
 * @see https://github.com/nodejs/node/issues/50884; `TLSWrap::EncOut` and `Http2Session::MaybeStopReading` in Node's source
 */
export class BrokenWatch {
  readonly #options: BrokenWatchOptions;
  /** What had been written at the last look. */
  #seenBytes: number;
  #timer: Timer;

  constructor(options: BrokenWatchOptions) {
    this.#options = options;
    this.#seenBytes = options.socket.bytesWritten;
    this.#timer = this.#lookLater();
  }

  stop(): void {
    this.#timer.cancel();
  }

  #lookLater(): Timer {
    return this.#options.clock.setTimer(LOOK_MS, () => this.#look());
  }

  #look(): void {
    const { socket, isBroken, onBroken } = this.#options;
    const { bytesWritten } = socket;
    const hasWritten = bytesWritten !== this.#seenBytes;
    this.#seenBytes = bytesWritten;
    if (hasWritten && isBroken()) onBroken();
    else this.#timer = this.#lookLater();
  }
}

/** What Node keeps in a socket and does not document: the connection as the operating system has it. */
interface SocketHandle {
  /** @returns 0, or the number of a system error; undefined where there is no such connection underneath */
  getpeername?(address: object): number | undefined;
}

/**
 * Whether the operating system has ended the connection: one that was reset has no other end any more (ENOTCONN). An end of
 * which only the other's last byte is known (FIN) is none: it may still read.
 *
 * Node's own `remoteAddress` remembers what it said first.
 */
export function isBroken(socket: TLSSocket): boolean {
  const { _handle: handle } = socket as { readonly _handle?: SocketHandle | null };
  return (handle?.getpeername?.({}) ?? 0) !== 0;
}

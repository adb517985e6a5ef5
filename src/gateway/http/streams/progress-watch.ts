import type { Socket } from 'node:net';

/**
 * Whether somebody takes what is written for it: a client that is slow is alive as long as it takes anything.
 * What the kernel has taken over counts as taken.
 */
export class ProgressWatch {
  readonly #socket: Socket;
  #takenBytes = 0;
  #wasWaiting = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** @returns whether something that waited was taken since the last call */
  check(): boolean {
    const { bytesWritten, writableLength } = this.#socket;
    const takenBytes = bytesWritten - writableLength;
    const hasTaken = this.#wasWaiting && takenBytes > this.#takenBytes;
    this.#takenBytes = takenBytes;
    this.#wasWaiting = writableLength > 0;
    return hasTaken;
  }
}

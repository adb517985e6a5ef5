import type { Readable, Writable } from 'node:stream';
import type { Clock } from '../kernel/clock.ts';
import type { Random } from '../kernel/random.ts';

/** What a command sees of the world around it; tests hand in their own. */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folder that relative file names start from. */
  readonly folder: string;
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Output;
  readonly stderr: Output;
  readonly clock: Clock;
  readonly random: Random;
  /** Aborted by Ctrl-C, SIGTERM or SIGHUP; its reason is the signal's name. */
  readonly interrupted: AbortSignal;
  /** From now on SIGHUP calls back and interrupts no more. */
  onHangup(callback: () => void): void;
}

/** Where a command writes. Once the reader is gone (`sluice sub … | head`) writes do nothing and `closed` is aborted. */
export class Output {
  readonly isTTY: boolean;
  readonly #stream: Writable;
  readonly #closed = new AbortController();

  /** @param stream written to, never ended */
  constructor(stream: Writable & { readonly isTTY?: boolean }) {
    this.isTTY = stream.isTTY === true;
    this.#stream = stream;
    stream.on('error', () => this.#closed.abort('EPIPE'));
    stream.on('close', () => this.#closed.abort('EPIPE'));
  }

  /** Aborted when nobody reads any more. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** Width in columns, where it is known. */
  get columns(): number | undefined {
    return (this.#stream as { columns?: number }).columns;
  }

  /** @returns false when the caller should await {@link drained} before it writes more */
  write(data: string | Uint8Array): boolean {
    return this.#closed.signal.aborted || this.#stream.write(data);
  }

  /** `text` and a line end. */
  line(text: string): boolean {
    return this.write(`${text}\n`);
  }

  /** Resolves when there is room again, or nobody reads any more. */
  drained(): Promise<void> {
    if (this.#closed.signal.aborted || !this.#stream.writableNeedDrain) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#stream.off('drain', done);
        this.#closed.signal.removeEventListener('abort', done);
        resolve();
      };
      this.#stream.on('drain', done);
      this.#closed.signal.addEventListener('abort', done);
    });
  }

  /** Resolves when everything written has left this process: with true. With false when nobody reads any more. */
  flushed(): Promise<boolean> {
    if (this.#closed.signal.aborted) return Promise.resolve(false);
    return new Promise((resolve) => {
      const gone = (): void => resolve(false);
      this.#closed.signal.addEventListener('abort', gone);
      this.#stream.write('', (error) => {
        this.#closed.signal.removeEventListener('abort', gone);
        resolve(!error && !this.#closed.signal.aborted);
      });
    });
  }
}

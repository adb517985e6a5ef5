import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Order, Report } from './worker.ts';

const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;
/** The clients of all systems are started as docs/sdk.md advises programs that move much data to be: collecting garbage is not what is measured. */
const NODE_FLAGS = ['--external-memory-accounted-in-global-limit'];

/** What a process has used so far. */
export interface Usage {
  readonly cpuSeconds: number;
  readonly rssBytes: number;
}

/** Reads CPU time and resident memory of a process from /proc. */
export function usageOf(pid: number): Usage {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
    rssBytes: Number(fields[21]) * PAGE_BYTES,
  };
}

/** Ends a process we started and waits for it. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await gone;
  clearTimeout(late);
}

/** A process of ours that gets orders over IPC and reports; a report of the kind `failed` is an error. */
export class WorkerProcess<
  Told extends object,
  Said extends { readonly kind: string },
> implements AsyncDisposable {
  readonly #child: ChildProcess;
  /** Called with every report. */
  onReport: ((report: Said) => void) | undefined;

  /** @param namespace network namespace to run in; undefined: this one */
  constructor(file: URL, namespace?: string) {
    const inside =
      namespace === undefined
        ? { execArgv: NODE_FLAGS }
        : { execPath: 'ip', execArgv: ['netns', 'exec', namespace, process.execPath, ...NODE_FLAGS] };
    this.#child = fork(file, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], ...inside });
    this.#child.on('message', (report: Said) => this.onReport?.(report));
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Gives an order without waiting for its answer. */
  tell(order: Told): void {
    this.#child.send(order);
  }

  /** Waits for the next report of that kind. Rejects when the worker fails or ends. */
  next<Kind extends Said['kind']>(kind: Kind): Promise<Extract<Said, { kind: Kind }>> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        this.#child.off('message', onMessage);
        this.#child.off('exit', onExit);
      };
      const onMessage = (report: Said): void => {
        if (report.kind === kind) {
          done();
          resolve(report as Extract<Said, { kind: Kind }>);
        } else if (report.kind === 'failed') {
          done();
          reject(new Error((report as unknown as { readonly message: string }).message));
        }
      };
      const onExit = (code: number | null): void => {
        done();
        reject(new Error(`a worker ended with ${String(code)}`));
      };
      this.#child.on('message', onMessage);
      this.#child.on('exit', onExit);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await stop(this.#child);
  }
}

/** A load generating process that runs one order after the other. */
export class Worker extends WorkerProcess<Order, Report> {
  onProgress: ((done: number) => void) | undefined;

  /** @param namespace network namespace to run in; undefined: this one */
  constructor(namespace?: string) {
    super(new URL('worker.ts', import.meta.url), namespace);
    this.onReport = (report) => {
      if (report.kind === 'progress') this.onProgress?.(report.done);
    };
  }
}
